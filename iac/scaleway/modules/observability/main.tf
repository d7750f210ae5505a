# Technical logs and figures, and who is told when something is wrong. No health data is in either.

resource "scaleway_cockpit_source" "logs" {
  name           = "${var.prefix}-logs"
  type           = "logs"
  region         = var.region
  project_id     = var.project
  retention_days = var.log_days
}

resource "scaleway_cockpit_source" "metrics" {
  name           = "${var.prefix}-metrics"
  type           = "metrics"
  region         = var.region
  project_id     = var.project
  retention_days = var.log_days
}

resource "scaleway_cockpit_alert_manager" "alerts" {
  region     = var.region
  project_id = var.project

  dynamic "contact_points" {
    for_each = var.alert_contacts
    content {
      email = contact_points.value
    }
  }
}
