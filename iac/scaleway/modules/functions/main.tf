# One private container per function, all from the same image by digest. Memory and time are the chalicefile's.

resource "scaleway_container_namespace" "functions" {
  name        = var.prefix
  description = "Sceau: the functions of stage ${var.stage}"
  region      = var.region
  project_id  = var.project
  tags        = ["sceau"]
}

resource "scaleway_container" "function" {
  for_each = var.functions

  name                   = each.key
  description            = "Sceau: function ${each.key}"
  namespace_id           = scaleway_container_namespace.functions.id
  region                 = var.region
  image                  = var.image
  port                   = each.value.port
  protocol               = "http1"
  privacy                = "private"
  https_connections_only = true
  sandbox                = "v2"
  memory_limit_bytes     = each.value.memory_bytes
  cpu_limit              = each.value.cpu
  timeout                = each.value.timeout_seconds
  min_scale              = length(each.value.routes) > 0 ? var.min_scale : 0
  max_scale              = length(each.value.routes) > 0 ? var.max_scale : 1
  tags                   = ["sceau", each.key]

  environment_variables = merge(each.value.environment, {
    for variable, ids in var.key_ids : variable => jsonencode({ for purpose, id in ids : purpose => [id] })
  })

  startup_probe {
    failure_threshold = 10
    interval          = "3s"
    timeout           = "3s"
    http {
      path = each.value.health
    }
  }

  liveness_probe {
    failure_threshold = 3
    interval          = "30s"
    timeout           = "5s"
    http {
      path = each.value.health
    }
  }

  lifecycle {
    # The function's credentials: `sceau stage prepare` puts them there and renews them. They pass through no plan and
    # no state (the provider reads a hash of them back).
    ignore_changes = [secret_environment_variables]
  }
}
