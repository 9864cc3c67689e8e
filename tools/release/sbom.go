package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/tools/fetched"
)

// cyclonedxVersion is the release of the Python package cyclonedx-python-lib, which brings the schemas of CycloneDX.
const cyclonedxVersion = "11.12.0"

// billOfMaterials returns the SBOM of an archive, as CycloneDX 1.6 in JSON, which its schema has accepted. Its serial number is made
// from its content, so that the same content has the same.
func billOfMaterials(ctx context.Context, parts []part, build cli.Build, p platform, progress io.Writer) ([]byte, error) {
	bom := cyclonedx.NewBOM()
	own := cyclonedx.Component{
		BOMRef: "metalrank", Type: cyclonedx.ComponentTypeApplication, Name: "metalrank", Version: build.Version,
		PackageURL: "pkg:golang/github.com/metalrank/metalrank@" + build.Version,
		Licenses:   &cyclonedx.Licenses{{Expression: "Apache-2.0"}},
		Properties: &[]cyclonedx.Property{{Name: "metalrank:commit", Value: build.Commit}, {Name: "metalrank:platform", Value: p.name()}},
	}
	bom.Metadata = &cyclonedx.Metadata{Timestamp: build.Date, Component: &own}
	components := []cyclonedx.Component{{
		BOMRef: "model", Type: cyclonedx.ComponentTypeMachineLearningModel, Name: "cross-encoder/ms-marco-MiniLM-L-12-v2",
		PackageURL: "pkg:huggingface/cross-encoder/ms-marco-MiniLM-L-12-v2", Licenses: &cyclonedx.Licenses{{Expression: "Apache-2.0"}},
	}}
	direct := []string{"model"}
	for _, part := range parts {
		component := cyclonedx.Component{
			BOMRef: part.name + "@" + part.version, Type: cyclonedx.ComponentTypeLibrary, Name: part.name, Version: part.version,
			PackageURL: part.url(), Licenses: &cyclonedx.Licenses{{Expression: part.licence}},
		}
		components = append(components, component)
		direct = append(direct, component.BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: "metalrank", Dependencies: &direct}}
	data, err := encodeBOM(bom)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8, RFC 9562
	id := hex.EncodeToString(sum[:16])
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%s-%s-%s-%s-%s", id[:8], id[8:12], id[12:16], id[16:20], id[20:])
	if data, err = encodeBOM(bom); err != nil {
		return nil, err
	}
	return data, validateBOM(ctx, data, progress)
}

func encodeBOM(bom *cyclonedx.BOM) ([]byte, error) {
	var data bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&data, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
	return data.Bytes(), err
}

// schemas is a folder with the schemas that have the last element of an address as their name.
type schemas string

// Load implements jsonschema.URLLoader.
func (folder schemas) Load(address string) (any, error) {
	file, err := os.Open(filepath.Join(string(folder), path.Base(address)))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return jsonschema.UnmarshalJSON(file)
}

// validateBOM checks an SBOM by the schema that CycloneDX publishes.
func validateBOM(ctx context.Context, data []byte, progress io.Writer) error {
	const name = "bom-1.6.SNAPSHOT.schema.json"
	file, err := fetched.Wheel(ctx, progress, "cyclonedx-python-lib", cyclonedxVersion, filepath.Join("cyclonedx", "schema", "_res", name))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(schemas(filepath.Dir(file)))
	schema, err := compiler.Compile(name)
	if err != nil {
		return fmt.Errorf("the schema of CycloneDX: %w", err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if err := schema.Validate(document); err != nil {
		return fmt.Errorf("the SBOM is not as CycloneDX has it: %w", err)
	}
	return nil
}
