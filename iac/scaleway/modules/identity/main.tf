# One application per function and per tool, with one policy each. Nothing is granted for a whole project but object
# operations, which the buckets' own policies narrow down to names; every right on a key names that key. The one tool
# that looks at a stage reads the trail's settings and the end dates of API keys, which are the organisation's.
#
# No API key here: its secret would rest in the state. `sceau stage prepare` makes them, with an end date.

resource "scaleway_iam_application" "role" {
  for_each = var.roles

  name            = "${var.prefix}-${each.key}"
  description     = "Sceau: ${each.value.function ? "function" : "tool"} ${each.key}"
  organization_id = var.organization
  tags            = ["sceau", each.key]
}

resource "scaleway_iam_policy" "role" {
  for_each = { for role, rights in var.roles : role => rights if length(local.rules[role]) > 0 }

  name            = "${var.prefix}-${each.key}"
  description     = "Sceau: what ${each.key} may do"
  organization_id = var.organization
  application_id  = scaleway_iam_application.role[each.key].id
  tags            = ["sceau", each.key]

  dynamic "rule" {
    for_each = local.rules[each.key]
    content {
      project_ids          = rule.value.projects
      organization_id      = rule.value.organization
      permission_set_names = rule.value.sets
      condition            = rule.value.condition
    }
  }
}

locals {
  rules = {
    for role, rights in var.roles : role => concat(
      length(rights.object_sets) == 0 ? [] : [
        { projects = [var.project], sets = rights.object_sets, condition = null, organization = null }
      ],
      length(rights.journal_sets) == 0 ? [] : [
        { projects = [var.journal_project], sets = rights.journal_sets, condition = null, organization = null }
      ],
      length(rights.organization_sets) == 0 ? [] : [
        { projects = null, sets = rights.organization_sets, condition = null, organization = var.organization }
      ],
      [
        for permission, purposes in rights.key_permissions : {
          projects     = [var.project]
          sets         = [permission]
          condition    = join(" || ", [for purpose in purposes : "resource.id == \"${var.key_ids[purpose]}\""])
          organization = null
        }
      ],
    )
  }
}
