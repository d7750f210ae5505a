variable "region" {
  type = string
}

variable "project" {
  type = string
}

variable "buckets" {
  type = map(object({
    holds     = list(string)
    lock_days = optional(number)
  }))
}

variable "statements" {
  description = "By bucket: what an application may do. With `prefixes` it lists names that begin so."
  type = map(list(object({
    sid         = string
    application = string
    actions     = list(string)
    names       = list(string)
    prefixes    = list(string)
  })))
}

variable "conditional" {
  description = "By bucket: names that may only be created, and names that may also be swapped."
  type = map(object({
    once = list(string)
    swap = list(string)
  }))
}

variable "administrators" {
  description = "IAM applications that administer these buckets; they read and write no object."
  type        = list(string)
}
