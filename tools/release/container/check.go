package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// checkCompose has the library of Docker Compose read a file, which has its schema, and wants the container to be confined.
func checkCompose(ctx context.Context, path string) error {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithName("metalrank"))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for name, service := range project.Services {
		if !service.ReadOnly || service.User == "" || service.HealthCheck == nil || len(service.CapDrop) == 0 {
			return fmt.Errorf("%s: %s may write, is root, keeps capabilities or has no health check", path, name)
		}
	}
	fmt.Printf("%s: %d services, as the schema of Compose has them\n", path, len(project.Services))
	return nil
}

// checkKubernetes reads a file's documents by the structs of Kubernetes' and of the Prometheus operator's own interface, in
// which each field must be, and checks the names by which they refer to each other.
func checkKubernetes(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var deployment apps.Deployment
	var service core.Service
	var budget policy.PodDisruptionBudget
	var monitor monitoring.ServiceMonitor
	kinds := map[meta.TypeMeta]any{
		{APIVersion: "apps/v1", Kind: "Deployment"}:                      &deployment,
		{APIVersion: "v1", Kind: "Service"}:                              &service,
		{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}:           &budget,
		{APIVersion: "monitoring.coreos.com/v1", Kind: "ServiceMonitor"}: &monitor,
	}
	documents := bytes.Split(text, []byte("\n---\n"))
	for _, document := range documents {
		var of meta.TypeMeta
		if err := yaml.Unmarshal(document, &of); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		into := kinds[of]
		if into == nil {
			return fmt.Errorf("%s: unknown or twice: %s %s", path, of.APIVersion, of.Kind)
		}
		delete(kinds, of)
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			return fmt.Errorf("%s: %s: %w", path, of.Kind, err)
		}
	}
	if len(kinds) > 0 {
		return fmt.Errorf("%s: %d kinds are missing", path, len(kinds))
	}
	if err := errors.Join(
		checkPod(&deployment), checkSelector("Service", service.Spec.Selector, deployment.Spec.Template.Labels),
		checkSelector("PodDisruptionBudget", budget.Spec.Selector.MatchLabels, deployment.Spec.Template.Labels),
		checkSelector("ServiceMonitor", monitor.Spec.Selector.MatchLabels, service.Labels),
		checkPorts(&deployment, &service, &monitor),
	); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Printf("%s: %d documents, as the structs of the interfaces have them\n", path, len(documents))
	return nil
}

// checkPod wants the container to be confined and bounded, and to have time for its last requests.
func checkPod(deployment *apps.Deployment) error {
	pod := deployment.Spec.Template.Spec
	if err := checkSelector("Deployment", deployment.Spec.Selector.MatchLabels, deployment.Spec.Template.Labels); err != nil {
		return err
	}
	for _, c := range pod.Containers {
		security := c.SecurityContext
		switch {
		case security == nil || security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem:
			return fmt.Errorf("container %s may write to its root", c.Name)
		case pod.SecurityContext == nil || pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot:
			return fmt.Errorf("container %s may be root", c.Name)
		case c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero():
			return fmt.Errorf("container %s has no limit of memory, or asks for no CPU", c.Name)
		case c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil:
			return fmt.Errorf("container %s lacks a probe", c.Name)
		}
	}
	return nil
}

func checkSelector(kind string, selector, labels map[string]string) error {
	if len(selector) == 0 {
		return fmt.Errorf("%s selects everything", kind)
	}
	for name, value := range selector {
		if labels[name] != value {
			return fmt.Errorf("%s selects %s=%s, and there is none", kind, name, value)
		}
	}
	return nil
}

// checkPorts wants each port that is named to be there.
func checkPorts(deployment *apps.Deployment, service *core.Service, monitor *monitoring.ServiceMonitor) error {
	ports := map[string]bool{}
	for _, c := range deployment.Spec.Template.Spec.Containers {
		for _, port := range c.Ports {
			ports[port.Name] = true
		}
		for _, probe := range []*core.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if port := probe.HTTPGet.Port; port.Type != intstr.String || !ports[port.StrVal] {
				return fmt.Errorf("a probe asks port %v, which the container does not name", &port)
			}
		}
	}
	served := map[string]bool{}
	for _, port := range service.Spec.Ports {
		served[port.Name] = true
		if !ports[port.TargetPort.StrVal] {
			return fmt.Errorf("the Service leads to port %v, which the container does not name", &port.TargetPort)
		}
	}
	for _, endpoint := range monitor.Spec.Endpoints {
		if !served[endpoint.Port] {
			return fmt.Errorf("the ServiceMonitor asks port %s, which the Service does not have", endpoint.Port)
		}
	}
	return nil
}
