# Sceau on Scaleway, as docs/architecture.md has it. One module per part of the house; each says what it guards.

locals {
  records_buckets = { for name, bucket in var.buckets : name => bucket if !bucket.journal }
  journal_buckets = { for name, bucket in var.buckets : name => bucket if bucket.journal }

  # Which application may do what on which bucket: one statement per right of the chalicefile.
  statements = {
    for name in keys(var.buckets) : name => flatten([
      for role, rights in var.roles : [
        for statement in rights.statements : merge(statement, { application = module.identity.applications[role] })
        if statement.bucket == name
      ]
    ])
  }
}

module "keys" {
  source = "./modules/keys"

  prefix  = var.prefix
  region  = var.region
  project = var.project
  keys    = var.keys
}

module "identity" {
  source = "./modules/identity"

  prefix          = var.prefix
  organization    = var.organization
  project         = var.project
  journal_project = var.journal_project
  roles           = var.roles
  key_ids         = module.keys.ids
}

module "storage" {
  source = "./modules/storage"

  region         = var.region
  project        = var.project
  buckets        = local.records_buckets
  statements     = local.statements
  conditional    = var.conditional
  administrators = [var.deployer]
}

module "journal" {
  source    = "./modules/storage"
  providers = { scaleway = scaleway.journal }

  region         = var.region
  project        = var.journal_project
  buckets        = local.journal_buckets
  statements     = local.statements
  conditional    = var.conditional
  administrators = [var.journal_administrator]
}

module "functions" {
  source = "./modules/functions"

  prefix    = var.prefix
  stage     = var.stage
  region    = var.region
  project   = var.project
  image     = var.image
  functions = var.functions
  key_ids   = var.keys_variable == null ? {} : { (var.keys_variable) = module.keys.ids }
  min_scale = var.min_scale
  max_scale = var.max_scale
}

module "edge" {
  source = "./modules/edge"

  prefix     = var.prefix
  region     = var.region
  project    = var.project
  domains    = var.domains
  functions  = { for name, function in var.functions : name => function.routes if length(function.routes) > 0 }
  containers = module.functions.containers
  unmatched  = var.unmatched
}

module "schedule" {
  source = "./modules/schedule"

  prefix     = var.prefix
  region     = var.region
  functions  = { for name, function in var.functions : name => function.cron if function.cron != null }
  containers = module.functions.containers
}

module "trail" {
  source    = "./modules/trail"
  providers = { scaleway = scaleway.journal }

  prefix  = var.prefix
  region  = var.region
  project = var.trail_project
  days    = var.trail_days
}

module "observability" {
  source = "./modules/observability"

  prefix         = var.prefix
  region         = var.region
  project        = var.project
  log_days       = var.log_days
  alert_contacts = var.alert_contacts
}
