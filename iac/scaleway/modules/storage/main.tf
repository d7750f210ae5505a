# Private, versioned, encrypted buckets, on which each application may do what the chalicefile grants it and nothing
# else. No lifecycle rule and no Glacier: both are forbidden for health data (HDS how-to of 2025-11-12); what a rule
# would have done is done by the function `upkeep`.

resource "scaleway_object_bucket" "bucket" {
  for_each = var.buckets

  name                = each.key
  region              = var.region
  project_id          = var.project
  object_lock_enabled = each.value.lock_days != null
  force_destroy       = false
  tags                = { sceau = join(" ", [for prefix in each.value.holds : prefix == "" ? "all-others" : prefix]) }

  versioning {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
    # The host may ignore the flag at creation: the lock configuration below is what turns the lock on, and counts.
    ignore_changes = [object_lock_enabled]
  }
}

resource "scaleway_object_bucket_acl" "bucket" {
  for_each = var.buckets

  bucket     = scaleway_object_bucket.bucket[each.key].name
  region     = var.region
  project_id = var.project
  acl        = "private"
}

resource "scaleway_object_bucket_server_side_encryption_configuration" "bucket" {
  for_each = var.buckets

  bucket     = scaleway_object_bucket.bucket[each.key].name
  region     = var.region
  project_id = var.project

  # Beside our own sealing: the host asks for it where health data rests without SSE-C.
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "scaleway_object_bucket_lock_configuration" "bucket" {
  for_each = { for name, bucket in var.buckets : name => bucket if bucket.lock_days != null }

  bucket     = scaleway_object_bucket.bucket[each.key].name
  region     = var.region
  project_id = var.project

  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = each.value.lock_days
    }
  }
}

resource "scaleway_object_bucket_policy" "bucket" {
  for_each = var.buckets

  bucket     = scaleway_object_bucket.bucket[each.key].name
  region     = var.region
  project_id = var.project
  policy     = jsonencode({ Version = "2023-04-17", Id = each.key, Statement = local.policies[each.key] })

  # Versioning is frozen and the lock needs it: first the bucket's nature, then who may use it.
  depends_on = [scaleway_object_bucket_lock_configuration.bucket]
}

locals {
  # What administers a bucket without touching an object in it. Listing is what the provider asks to see that it is there.
  administration = [
    "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLocation", "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketTagging", "s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetLifecycleConfiguration",
    "s3:ListBucket", "s3:ListBucketVersions", "s3:PutBucketAcl", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
  ]

  policies = {
    for name in keys(var.buckets) : name => concat(
      [
        {
          Sid       = "administration"
          Effect    = "Allow"
          Principal = { SCW = [for id in var.administrators : "application_id:${id}"] }
          Action    = local.administration
          Resource  = [name]
        }
      ],
      [
        for statement in var.statements[name] : merge(
          {
            Sid       = statement.sid
            Effect    = "Allow"
            Principal = { SCW = ["application_id:${statement.application}"] }
            Action    = statement.actions
            # What names no object is about the bucket: where it is, and what names in it begin with a prefix.
            Resource = length(statement.names) == 0 ? [name] : [for object in statement.names : "${name}/${object}"]
          },
          length(statement.prefixes) == 0 ? {} : { Condition = { StringLike = { "s3:prefix" = statement.prefixes } } },
        )
      ],
      # Every write is conditional: nothing is overwritten that was not read before.
      [
        for rule in [
          { sid = "written-once", names = var.conditional[name].once, keys = { "s3:if-none-match" = "true" } },
          { sid = "written-once-or-swapped", names = var.conditional[name].swap, keys = { "s3:if-none-match" = "true", "s3:if-match" = "true" } },
          ] : {
          Sid       = rule.sid
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:PutObject"
          Resource  = [for object in rule.names : "${name}/${object}"]
          Condition = { Null = rule.keys }
        } if length(rule.names) > 0
      ],
    )
  }
}
