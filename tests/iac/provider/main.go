// Command terraform-provider-scaleway stands in for Scaleway's Terraform provider where no registry has the real one.
//
// It serves the provider's published schema (`terraform providers schema -json`, at SCEAU_PROVIDER_SCHEMA) over the
// plugin protocol and plans from an empty state: what the provider would compute is unknown, everything else is what
// the configuration says. It is strict where the real one is lenient: what the schema calls deprecated is an error,
// nothing can be read and nothing applied. Rules on values, which the schema does not hold, are checked by
// iac/scaleway/values.py on the plan.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

const address = "registry.terraform.io/scaleway/scaleway"

func main() {
	if err := run(os.Getenv("SCEAU_PROVIDER_SCHEMA")); err != nil {
		fmt.Fprintln(os.Stderr, "stand-in provider:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	published, err := readSchema(path)
	if err != nil {
		return err
	}
	return tf6server.Serve(address, func() tfprotov6.ProviderServer { return &server{published: published} })
}
