package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// server answers what `validate`, `test` with mocks, `plan` from an empty state, `apply` and `destroy` ask. What it applies
// it only remembers as Terraform's state: nothing is made anywhere. The embedded interface is nil: any other call ends the
// process, which Terraform reports.
type server struct {
	tfprotov6.ProviderServer
	published *published
}

func (s *server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	answer := &tfprotov6.GetMetadataResponse{ServerCapabilities: capabilities()}
	for name := range s.published.resources {
		answer.Resources = append(answer.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range s.published.data {
		answer.DataSources = append(answer.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	for name := range s.published.ephemeral {
		answer.EphemeralResources = append(answer.EphemeralResources, tfprotov6.EphemeralResourceMetadata{TypeName: name})
	}
	return answer, nil
}

func (s *server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:                 s.published.provider,
		ResourceSchemas:          s.published.resources,
		DataSourceSchemas:        s.published.data,
		EphemeralResourceSchemas: s.published.ephemeral,
		ServerCapabilities:       capabilities(),
	}, nil
}

func capabilities() *tfprotov6.ServerCapabilities {
	return &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true}
}

func (s *server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *server) ValidateProviderConfig(_ context.Context, request *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (s *server) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (s *server) ValidateResourceConfig(_ context.Context, request *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	diagnostics := validate(s.published.resources[request.TypeName], request.TypeName, request.Config)
	return &tfprotov6.ValidateResourceConfigResponse{Diagnostics: diagnostics}, nil
}

func (s *server) ValidateDataResourceConfig(_ context.Context, request *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	diagnostics := validate(s.published.data[request.TypeName], request.TypeName, request.Config)
	return &tfprotov6.ValidateDataResourceConfigResponse{Diagnostics: diagnostics}, nil
}

func (s *server) ValidateEphemeralResourceConfig(_ context.Context, request *tfprotov6.ValidateEphemeralResourceConfigRequest) (*tfprotov6.ValidateEphemeralResourceConfigResponse, error) {
	diagnostics := validate(s.published.ephemeral[request.TypeName], request.TypeName, request.Config)
	return &tfprotov6.ValidateEphemeralResourceConfigResponse{Diagnostics: diagnostics}, nil
}

// PlanResourceChange is a creation: what the configuration leaves open and the provider computes is unknown. What is there
// is destroyed, or changed in place: which change would make it anew, the published schema does not say.
func (s *server) PlanResourceChange(_ context.Context, request *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	schema := s.published.resources[request.TypeName]
	kind := schema.ValueType()
	prior, err := request.PriorState.Unmarshal(kind)
	if err != nil {
		return nil, err
	}
	proposed, err := request.ProposedNewState.Unmarshal(kind)
	if err != nil {
		return nil, err
	}
	if !prior.IsNull() {
		return &tfprotov6.PlanResourceChangeResponse{PlannedState: request.ProposedNewState}, nil
	}
	planned, err := computed(schema.Block, proposed)
	if err != nil {
		return nil, err
	}
	dynamic, err := tfprotov6.NewDynamicValue(kind, planned)
	if err != nil {
		return nil, err
	}
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: &dynamic}, nil
}

// ApplyResourceChange takes a creation for done, with an id of the form that the host's have; a destruction, too.
// Keys that are protected are refused, as the host does.
func (s *server) ApplyResourceChange(_ context.Context, request *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	kind := s.published.resources[request.TypeName].ValueType()
	planned, err := request.PlannedState.Unmarshal(kind)
	if err != nil {
		return nil, err
	}
	if planned.IsNull() {
		if request.TypeName == "scaleway_key_manager_key" {
			return &tfprotov6.ApplyResourceChangeResponse{Diagnostics: refused("the key is protected")}, nil
		}
		return &tfprotov6.ApplyResourceChangeResponse{NewState: request.PlannedState}, nil
	}
	applied, err := tftypes.Transform(planned, func(path *tftypes.AttributePath, value tftypes.Value) (tftypes.Value, error) {
		if value.IsKnown() {
			return value, nil
		}
		if path.String() == `AttributeName("id")` {
			return tftypes.NewValue(tftypes.String, made(request.TypeName)), nil
		}
		return tftypes.NewValue(value.Type(), nil), nil
	})
	if err != nil {
		return nil, err
	}
	state, err := tfprotov6.NewDynamicValue(kind, applied)
	if err != nil {
		return nil, err
	}
	return &tfprotov6.ApplyResourceChangeResponse{NewState: &state}, nil
}

// made is a new id of a resource.
func made(name string) string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	text := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	switch name {
	case "scaleway_container", "scaleway_container_namespace", "scaleway_key_manager_key":
		return "fr-par/" + text
	}
	return text
}

// ReadResource says that what was made is as it was.
func (s *server) ReadResource(_ context.Context, request *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: request.CurrentState}, nil
}

// UpgradeResourceState takes the state as it rests: it was written by this schema.
func (s *server) UpgradeResourceState(_ context.Context, request *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	kind := s.published.resources[request.TypeName].ValueType()
	value, err := request.RawState.Unmarshal(kind)
	if err != nil {
		return nil, err
	}
	state, err := tfprotov6.NewDynamicValue(kind, value)
	if err != nil {
		return nil, err
	}
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &state}, nil
}

func (s *server) ReadDataSource(context.Context, *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	text := "the stand-in provider reads nothing: a plan without credentials may not need what is there"
	return &tfprotov6.ReadDataSourceResponse{Diagnostics: refused(text)}, nil
}

func (s *server) OpenEphemeralResource(context.Context, *tfprotov6.OpenEphemeralResourceRequest) (*tfprotov6.OpenEphemeralResourceResponse, error) {
	return &tfprotov6.OpenEphemeralResourceResponse{Diagnostics: refused("the stand-in provider opens nothing")}, nil
}

func refused(text string) []*tfprotov6.Diagnostic {
	return []*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityError, Summary: text}}
}

// validate refuses what the schema calls deprecated. Types, required and unknown names are Terraform's own to check.
func validate(schema *tfprotov6.Schema, name string, config *tfprotov6.DynamicValue) []*tfprotov6.Diagnostic {
	value, err := config.Unmarshal(schema.ValueType())
	if err != nil {
		return refused(err.Error())
	}
	var found []*tfprotov6.Diagnostic
	deprecated(schema.Block, value, name, func(what string) {
		found = append(found, refused(fmt.Sprintf("%s is deprecated by the provider", what))...)
	})
	return found
}

func deprecated(block *tfprotov6.SchemaBlock, value tftypes.Value, where string, tell func(string)) {
	fields, ok := object(value)
	if !ok {
		return
	}
	if block.Deprecated {
		tell(where)
	}
	for _, attribute := range block.Attributes {
		if attribute.Deprecated && !fields[attribute.Name].IsNull() {
			tell(where + "." + attribute.Name)
		}
	}
	for _, nested := range block.BlockTypes {
		for _, one := range elements(nested, fields[nested.TypeName]) {
			deprecated(nested.Block, one, where+"."+nested.TypeName, tell)
		}
	}
}

// computed gives the value with every computed attribute that it leaves null as unknown, and write-only ones as null.
func computed(block *tfprotov6.SchemaBlock, value tftypes.Value) (tftypes.Value, error) {
	fields, ok := object(value)
	if !ok {
		return value, nil
	}
	for _, attribute := range block.Attributes {
		kind := attribute.ValueType()
		switch {
		case attribute.WriteOnly:
			fields[attribute.Name] = tftypes.NewValue(kind, nil)
		case attribute.Computed && fields[attribute.Name].IsNull():
			fields[attribute.Name] = tftypes.NewValue(kind, tftypes.UnknownValue)
		}
	}
	for _, nested := range block.BlockTypes {
		held := fields[nested.TypeName]
		if held.IsNull() || !held.IsKnown() {
			continue
		}
		var inner []tftypes.Value
		for _, one := range elements(nested, held) {
			planned, err := computed(nested.Block, one)
			if err != nil {
				return value, err
			}
			inner = append(inner, planned)
		}
		if nested.Nesting == tfprotov6.SchemaNestedBlockNestingModeSingle {
			fields[nested.TypeName] = inner[0]
		} else {
			fields[nested.TypeName] = tftypes.NewValue(held.Type(), inner)
		}
	}
	return tftypes.NewValue(value.Type(), fields), nil
}

func object(value tftypes.Value) (map[string]tftypes.Value, bool) {
	if value.IsNull() || !value.IsKnown() {
		return nil, false
	}
	fields := map[string]tftypes.Value{}
	return fields, value.As(&fields) == nil
}

func elements(nested *tfprotov6.SchemaNestedBlock, value tftypes.Value) []tftypes.Value {
	if value.IsNull() || !value.IsKnown() {
		return nil
	}
	if nested.Nesting == tfprotov6.SchemaNestedBlockNestingModeSingle {
		return []tftypes.Value{value}
	}
	var inner []tftypes.Value
	if value.As(&inner) != nil {
		return nil
	}
	return inner
}
