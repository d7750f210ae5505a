# What holds for the modules whatever the stage. Run with the stage's variables and mocks: nothing is touched.

mock_provider "scaleway" {
  mock_resource "scaleway_key_manager_key" {
    defaults = { id = "fr-par/00000000-0000-4000-8000-00000000000a" }
  }
  mock_resource "scaleway_iam_application" {
    defaults = { id = "00000000-0000-4000-8000-00000000000b" }
  }
  mock_resource "scaleway_container" {
    defaults = { id = "fr-par/00000000-0000-4000-8000-00000000000c" }
  }
}

mock_provider "scaleway" {
  alias = "journal"
}

run "keys" {
  command = apply
  module {
    source = "./modules/keys"
  }
  variables {
    prefix  = "t"
    project = "00000000-0000-4000-8000-000000000001"
    keys = {
      content = { usage = "symmetric_encryption", algorithm = "aes_256_gcm", rotation_period = "24h0m0s" }
      tokens  = { usage = "asymmetric_signing", algorithm = "ec_p256_sha256" }
    }
  }
  assert {
    condition     = alltrue([for key in scaleway_key_manager_key.purpose : key.unprotected == false])
    error_message = "Every key is protected against deletion."
  }
  assert {
    condition     = length(scaleway_key_manager_key.purpose["tokens"].rotation_policy) == 0
    error_message = "A signing key is renewed by a new one, not rotated by the host."
  }
  assert {
    condition     = output.ids["content"] == "00000000-0000-4000-8000-00000000000a"
    error_message = "A key's id has no region: conditions name it bare."
  }
}

run "identity" {
  command = apply
  module {
    source = "./modules/identity"
  }
  variables {
    prefix          = "t"
    organization    = "00000000-0000-4000-8000-000000000000"
    project         = "00000000-0000-4000-8000-000000000001"
    journal_project = "00000000-0000-4000-8000-000000000002"
    key_ids         = { content = "c", dossier = "d" }
    roles = {
      ingest = {
        function          = true
        object_sets       = ["ObjectStorageObjectsWrite"]
        journal_sets      = []
        organization_sets = []
        key_permissions   = { KeyManagerKeyEncrypt = ["content", "dossier"] }
      }
      watching = {
        function          = false
        object_sets       = []
        journal_sets      = []
        organization_sets = ["AuditTrailReadOnly"]
        key_permissions   = {}
      }
      nothing = { function = false, object_sets = [], journal_sets = [], organization_sets = [], key_permissions = {} }
    }
  }
  assert {
    condition     = scaleway_iam_policy.role["ingest"].rule[1].condition == "resource.id == \"c\" || resource.id == \"d\""
    error_message = "A right on keys names them."
  }
  assert {
    condition     = scaleway_iam_policy.role["watching"].rule[0].organization_id == "00000000-0000-4000-8000-000000000000"
    error_message = "What is the organisation's is read there."
  }
  assert {
    condition     = length(scaleway_iam_policy.role) == 2 && length(scaleway_iam_application.role) == 3
    error_message = "Who may do nothing has an application and no policy."
  }
}

run "storage" {
  command = apply
  module {
    source = "./modules/storage"
  }
  variables {
    project        = "00000000-0000-4000-8000-000000000001"
    administrators = ["00000000-0000-4000-8000-0000000000ad"]
    buckets = {
      open   = { holds = [""] }
      locked = { holds = ["journal/events/"], lock_days = 3653 }
    }
    statements = {
      open = [
        { sid = "x list y/*", application = "a", actions = ["s3:ListBucket"], names = [], prefixes = ["y/*"] },
        { sid = "x read y/*", application = "a", actions = ["s3:GetObject"], names = ["y/*"], prefixes = [] },
      ]
      locked = []
    }
    conditional = {
      open   = { once = ["replay/*"], swap = ["records/*/dossier"] }
      locked = { once = [], swap = [] }
    }
  }
  assert {
    condition     = alltrue([for bucket in scaleway_object_bucket.bucket : bucket.versioning[0].enabled && !bucket.force_destroy])
    error_message = "Every bucket keeps versions, and is destroyed by nobody."
  }
  assert {
    condition = (
      keys(scaleway_object_bucket_lock_configuration.bucket) == ["locked"] &&
      scaleway_object_bucket_lock_configuration.bucket["locked"].rule[0].default_retention[0].mode == "COMPLIANCE"
    )
    error_message = "What is locked is locked in COMPLIANCE mode."
  }
  assert {
    condition = (
      jsondecode(scaleway_object_bucket_policy.bucket["open"].policy).Statement[1].Condition.StringLike["s3:prefix"] == ["y/*"] &&
      jsondecode(scaleway_object_bucket_policy.bucket["open"].policy).Statement[1].Resource == ["open"]
    )
    error_message = "A listing is of names that begin so."
  }
  assert {
    condition = (
      length([for statement in jsondecode(scaleway_object_bucket_policy.bucket["open"].policy).Statement : statement if statement.Effect == "Deny"]) == 2 &&
      length([for statement in jsondecode(scaleway_object_bucket_policy.bucket["locked"].policy).Statement : statement if statement.Effect == "Deny"]) == 0
    )
    error_message = "Writes are conditional where something is written."
  }
}

run "trail" {
  command = apply
  module {
    source = "./modules/trail"
  }
  variables {
    prefix  = "t"
    project = "00000000-0000-4000-8000-000000000003"
    days    = 3653
  }
  assert {
    condition     = output.export.bucket == "t-trail" && scaleway_object_bucket_lock_configuration.trail.rule[0].default_retention[0].days == 3653
    error_message = "The trail is exported into a locked bucket."
  }
}

run "house" {
  command = apply
  assert {
    condition     = toset(keys(output.applications)) == toset(keys(var.roles)) && toset(keys(output.containers)) == toset(keys(var.functions))
    error_message = "Every role has an application, every function a container."
  }
  assert {
    condition     = module.edge.endpoint != ""
    error_message = "The front has an address."
  }
}
