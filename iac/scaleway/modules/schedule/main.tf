# What runs by itself: a call to the container at the chalicefile's rate, in UTC.

resource "scaleway_container_trigger" "function" {
  for_each = var.functions

  name         = "${var.prefix}-${each.key}"
  description  = "Sceau: runs ${each.key}"
  container_id = var.containers[each.key]
  region       = var.region
  tags         = ["sceau", each.key]

  cron {
    schedule = each.value
    timezone = "Etc/UTC"
    body     = "{}"
    headers  = { "Content-Type" = "application/json" }
  }

  destination_config {
    http_method = "post"
    http_path   = "/run/${each.key}"
  }
}
