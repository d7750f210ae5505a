package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// The document that `terraform providers schema -json` prints.
type document struct {
	Providers map[string]publishedSchemas `json:"provider_schemas"`
}

type publishedSchemas struct {
	Provider  schemaJSON            `json:"provider"`
	Resources map[string]schemaJSON `json:"resource_schemas"`
	Data      map[string]schemaJSON `json:"data_source_schemas"`
	Ephemeral map[string]schemaJSON `json:"ephemeral_resource_schemas"`
}

type schemaJSON struct {
	Version int64     `json:"version"`
	Block   blockJSON `json:"block"`
}

type blockJSON struct {
	Attributes map[string]attributeJSON `json:"attributes"`
	Blocks     map[string]nestedJSON    `json:"block_types"`
	Deprecated bool                     `json:"deprecated"`
}

type nestedJSON struct {
	Mode  string    `json:"nesting_mode"`
	Min   int64     `json:"min_items"`
	Max   int64     `json:"max_items"`
	Block blockJSON `json:"block"`
}

type attributeJSON struct {
	Type       json.RawMessage `json:"type"`
	Nested     *objectJSON     `json:"nested_type"`
	Required   bool            `json:"required"`
	Optional   bool            `json:"optional"`
	Computed   bool            `json:"computed"`
	Sensitive  bool            `json:"sensitive"`
	Deprecated bool            `json:"deprecated"`
	WriteOnly  bool            `json:"write_only"`
}

type objectJSON struct {
	Mode       string                   `json:"nesting_mode"`
	Attributes map[string]attributeJSON `json:"attributes"`
}

var blockModes = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
}

var objectModes = map[string]tfprotov6.SchemaObjectNestingMode{
	"single": tfprotov6.SchemaObjectNestingModeSingle,
	"list":   tfprotov6.SchemaObjectNestingModeList,
	"set":    tfprotov6.SchemaObjectNestingModeSet,
}

// published is the schema in the protocol's own types.
type published struct {
	provider  *tfprotov6.Schema
	resources map[string]*tfprotov6.Schema
	data      map[string]*tfprotov6.Schema
	ephemeral map[string]*tfprotov6.Schema
}

func readSchema(path string) (*published, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var read document
	if err := json.Unmarshal(raw, &read); err != nil {
		return nil, err
	}
	schemas, found := read.Providers[address]
	if !found {
		return nil, fmt.Errorf("%s has no schema of %s", path, address)
	}
	var result published
	if result.provider, err = schemas.Provider.schema(); err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		from map[string]schemaJSON
		to   *map[string]*tfprotov6.Schema
	}{{schemas.Resources, &result.resources}, {schemas.Data, &result.data}, {schemas.Ephemeral, &result.ephemeral}} {
		*kind.to = map[string]*tfprotov6.Schema{}
		for name, one := range kind.from {
			if (*kind.to)[name], err = one.schema(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return &result, nil
}

func (s schemaJSON) schema() (*tfprotov6.Schema, error) {
	block, err := s.Block.block()
	return &tfprotov6.Schema{Version: s.Version, Block: block}, err
}

func (b blockJSON) block() (*tfprotov6.SchemaBlock, error) {
	attributes, err := attributes(b.Attributes)
	if err != nil {
		return nil, err
	}
	result := &tfprotov6.SchemaBlock{Attributes: attributes, Deprecated: b.Deprecated}
	for name, nested := range b.Blocks {
		mode, known := blockModes[nested.Mode]
		if !known {
			return nil, fmt.Errorf("block %s: nesting %q is not served", name, nested.Mode)
		}
		inner, err := nested.Block.block()
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", name, err)
		}
		result.BlockTypes = append(result.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: mode, MinItems: nested.Min, MaxItems: nested.Max,
		})
	}
	return result, nil
}

func attributes(from map[string]attributeJSON) ([]*tfprotov6.SchemaAttribute, error) {
	var result []*tfprotov6.SchemaAttribute
	for name, one := range from {
		attribute := &tfprotov6.SchemaAttribute{
			Name: name, Required: one.Required, Optional: one.Optional, Computed: one.Computed,
			Sensitive: one.Sensitive, Deprecated: one.Deprecated, WriteOnly: one.WriteOnly,
		}
		if one.Nested != nil {
			inner, err := attributes(one.Nested.Attributes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			mode, known := objectModes[one.Nested.Mode]
			if !known {
				return nil, fmt.Errorf("%s: nesting %q is not served", name, one.Nested.Mode)
			}
			attribute.NestedType = &tfprotov6.SchemaObject{Attributes: inner, Nesting: mode}
		} else {
			kind, err := tftypes.ParseJSONType(one.Type) //nolint:staticcheck // the published schema has types in this form
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			attribute.Type = kind
		}
		result = append(result, attribute)
	}
	return result, nil
}
