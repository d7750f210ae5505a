# Where the provider's audit trail is exported to every day: a locked bucket in a project in which no function and no
# deployer holds a right. The export job and the alert rules have no Terraform resource: `sceau stage prepare` makes
# them and `sceau stage check` reads them back. No bucket policy: it could shut out the export, and there is no
# principal to narrow down.

resource "scaleway_object_bucket" "trail" {
  name                = "${var.prefix}-trail"
  region              = var.region
  project_id          = var.project
  object_lock_enabled = true
  force_destroy       = false
  tags                = { sceau = "trail" }

  versioning {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
    ignore_changes  = [object_lock_enabled]
  }
}

resource "scaleway_object_bucket_acl" "trail" {
  bucket     = scaleway_object_bucket.trail.name
  region     = var.region
  project_id = var.project
  acl        = "private"
}

resource "scaleway_object_bucket_server_side_encryption_configuration" "trail" {
  bucket     = scaleway_object_bucket.trail.name
  region     = var.region
  project_id = var.project

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "scaleway_object_bucket_lock_configuration" "trail" {
  bucket     = scaleway_object_bucket.trail.name
  region     = var.region
  project_id = var.project

  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.days
    }
  }
}
