variable "prefix" {
  type = string
}

variable "region" {
  type = string
}

variable "project" {
  type = string
}

variable "days" {
  description = "How long an exported day stays."
  type        = number
}
