// Jobcheck reads a Nomad job. It wants each block and attribute to be in the structs of Nomad's own API, each duration
// to be one, and all that they require to be there. `./build.sh fleet job` runs it.
//
// Nomad's parser and the program itself are under a licence that this project can't take; package api is not. Jobcheck
// can't see values that only a server would refuse, nor the content of a driver's config block. It is a module of its
// own, so that the product depends on none of this.
package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/nomad/api"
)

// top is the schema of the top of a job's file; Nomad's parser has one of its own.
var top = hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "job", LabelNames: []string{"name"}}}}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: jobcheck FILE")
		os.Exit(2)
	}
	count, err := check(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "jobcheck:", err)
		os.Exit(1)
	}
	fmt.Printf("%s: %d blocks and attributes are as Nomad's API has them\n", os.Args[1], count)
}

func check(path string) (count int, err error) {
	parsed, problems := hclparse.NewParser().ParseHCLFile(path)
	if problems.HasErrors() {
		return 0, problems
	}
	content, problems := parsed.Body.Content(&top)
	if problems.HasErrors() {
		return 0, problems
	}
	if len(content.Blocks) != 1 {
		return 0, fmt.Errorf("%s: %d jobs, want 1", path, len(content.Blocks))
	}
	err = walk(content.Blocks[0].Body, reflect.TypeFor[api.Job](), &count)
	return count, err
}

// walk checks a body by the struct that it stands for, and then the blocks within.
func walk(body hcl.Body, kind reflect.Type, count *int) error {
	schema, fields := schemaOf(kind)
	content, problems := body.Content(schema)
	if problems.HasErrors() {
		return problems
	}
	var errs []error
	for name, attribute := range content.Attributes {
		*count++
		if fields[name] == reflect.TypeFor[time.Duration]() {
			errs = append(errs, checkDuration(attribute))
		}
	}
	for _, block := range content.Blocks {
		*count++
		if kind := fields[block.Type]; kind.Kind() == reflect.Struct { // others may hold anything
			errs = append(errs, walk(block.Body, kind, count))
		}
	}
	return errors.Join(errs...)
}

// schemaOf reads a struct's tags, as Nomad's parser does: `hcl:"NAME,KIND"`, where KIND is optional, block or label, or
// absent for an attribute that must be there. It returns the type of each name, too.
func schemaOf(kind reflect.Type) (*hcl.BodySchema, map[string]reflect.Type) {
	schema, fields := &hcl.BodySchema{}, map[string]reflect.Type{}
	for field := range each(kind) {
		name, sort, tagged := strings.Cut(field.Tag.Get("hcl"), ",")
		if name == "" || sort == "label" {
			continue
		}
		fields[name] = element(field.Type)
		if tagged && sort == "block" {
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: name, LabelNames: labels(fields[name])})
		} else {
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name, Required: sort != "optional"})
		}
	}
	return schema, fields
}

func each(kind reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := 0; i < kind.NumField() && yield(kind.Field(i)); i++ {
		}
	}
}

// labels returns the names of the labels of a block.
func labels(kind reflect.Type) (names []string) {
	if kind.Kind() != reflect.Struct {
		return nil
	}
	for field := range each(kind) {
		if _, sort, _ := strings.Cut(field.Tag.Get("hcl"), ","); sort == "label" {
			names = append(names, field.Name)
		}
	}
	return names
}

// element is the type that a field is a pointer to, or a list of.
func element(kind reflect.Type) reflect.Type {
	for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice {
		kind = kind.Elem()
	}
	return kind
}

func checkDuration(attribute *hcl.Attribute) error {
	value, problems := attribute.Expr.Value(nil)
	if problems.HasErrors() {
		return problems
	}
	if _, err := time.ParseDuration(value.AsString()); err != nil {
		return fmt.Errorf("%s: %s: %w", attribute.Range, attribute.Name, err)
	}
	return nil
}
