variable "prefix" {
  type = string
}

variable "region" {
  type = string
}

variable "project" {
  type = string
}

variable "log_days" {
  type = number
}

variable "alert_contacts" {
  type = list(string)
}
