output "export" {
  description = "The export job, as the provider's API takes it."
  value = {
    name       = "${var.prefix}-trail"
    bucket     = scaleway_object_bucket.trail.name
    region     = var.region
    prefix     = "audit-trail/"
    project_id = var.project
  }
}
