# The front: the stage's domains with TLS, and one rule for each method and path of the chalicefile, which leads to the
# container of one function. Nothing is cached and no firewall reads bodies: they are health data.

resource "scaleway_edge_services_plan" "front" {
  name       = "professional"
  project_id = var.project
}

resource "scaleway_edge_services_pipeline" "front" {
  name        = var.prefix
  description = "Sceau: the front"
  project_id  = var.project

  depends_on = [scaleway_edge_services_plan.front]
}

resource "scaleway_edge_services_backend_stage" "function" {
  for_each = var.functions

  pipeline_id = scaleway_edge_services_pipeline.front.id
  project_id  = var.project

  container_backend_config {
    container_id = var.containers[each.key]
    region       = var.region
  }
}

resource "scaleway_edge_services_route_stage" "front" {
  pipeline_id      = scaleway_edge_services_pipeline.front.id
  project_id       = var.project
  backend_stage_id = scaleway_edge_services_backend_stage.function[var.unmatched].id

  dynamic "rule" {
    for_each = flatten([for name, routes in var.functions : [for route in routes : merge(route, { function = name })]])
    content {
      backend_stage_id = scaleway_edge_services_backend_stage.function[rule.value.function].id
      rule_http_match {
        method_filters = [rule.value.method]
        path_filter {
          path_filter_type = "regex"
          value            = rule.value.path
        }
      }
    }
  }
}

resource "scaleway_edge_services_tls_stage" "front" {
  pipeline_id         = scaleway_edge_services_pipeline.front.id
  project_id          = var.project
  route_stage_id      = scaleway_edge_services_route_stage.front.id
  managed_certificate = true
}

resource "scaleway_edge_services_dns_stage" "front" {
  pipeline_id  = scaleway_edge_services_pipeline.front.id
  project_id   = var.project
  tls_stage_id = scaleway_edge_services_tls_stage.front.id
  fqdns        = var.domains
}

resource "scaleway_edge_services_head_stage" "front" {
  pipeline_id   = scaleway_edge_services_pipeline.front.id
  head_stage_id = scaleway_edge_services_dns_stage.front.id
}
