# One key per purpose. Protected against deletion, by the provider and by Terraform: a key that is gone takes every
# document that it sealed with it.

resource "scaleway_key_manager_key" "purpose" {
  for_each = var.keys

  name        = "${var.prefix}-${each.key}"
  description = "Sceau: ${each.key}"
  region      = var.region
  project_id  = var.project
  usage       = each.value.usage
  algorithm   = each.value.algorithm
  origin      = "scaleway_kms"
  unprotected = false
  tags        = ["sceau", each.key]

  dynamic "rotation_policy" {
    for_each = each.value.rotation_period == null ? [] : [each.value.rotation_period]
    content {
      rotation_period = rotation_policy.value
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}
