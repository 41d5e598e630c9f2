// Package check holds the files of deploy/ to the types and schemas of the programs that read them,
// and to the settings that Rollcall has.
package check

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// deploy is the folder whose files are checked.
const deploy = ".."

// objects returns what Kustomize builds, decoded as the API server does it with strict validation of
// fields: an unknown or doubled field is an error.
func objects(t *testing.T) []runtime.Object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(deploy, "kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", resource.CurId(), err)
		}
		all = append(all, object)
	}
	return all
}

// only returns the one object of the type.
func only[T runtime.Object](t *testing.T, all []runtime.Object) T {
	t.Helper()
	var found []T
	for _, object := range all {
		if it, ok := object.(T); ok {
			found = append(found, it)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d objects of the type %T, want one", len(found), *new(T))
	}
	return found[0]
}

func TestKubernetes_FieldsAndTypesAreThoseOfTheAPI(t *testing.T) {
	kinds := map[schema.GroupVersionKind]int{}
	for _, object := range objects(t) {
		kinds[object.GetObjectKind().GroupVersionKind()]++
	}
	if len(kinds) != 7 {
		t.Errorf("there are %d kinds of objects, want 7: %v", len(kinds), kinds)
	}
}

func TestKubernetes_ObjectsReferToEachOther(t *testing.T) {
	all := objects(t)
	pod := only[*appsv1.Deployment](t, all).Spec.Template
	container := pod.Spec.Containers[0]

	selectors := map[string]map[string]string{
		"the deployment":        only[*appsv1.Deployment](t, all).Spec.Selector.MatchLabels,
		"the disruption budget": only[*policyv1.PodDisruptionBudget](t, all).Spec.Selector.MatchLabels,
		"the network policy":    only[*networkingv1.NetworkPolicy](t, all).Spec.PodSelector.MatchLabels,
	}
	ports := []string{}
	for _, rule := range only[*networkingv1.NetworkPolicy](t, all).Spec.Ingress {
		for _, port := range rule.Ports {
			ports = append(ports, port.Port.StrVal)
		}
	}
	for _, object := range all {
		if service, ok := object.(*corev1.Service); ok {
			selectors["the service "+service.Name] = service.Spec.Selector
			for _, port := range service.Spec.Ports {
				ports = append(ports, port.TargetPort.StrVal)
			}
		}
	}
	for what, labels := range selectors {
		if len(labels) == 0 {
			t.Errorf("%s selects all pods", what)
		}
		for label, value := range labels {
			if pod.Labels[label] != value {
				t.Errorf("%s selects pods with %s=%s, which the pods do not have", what, label, value)
			}
		}
	}
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
		ports = append(ports, probe.HTTPGet.Port.StrVal)
	}
	for _, port := range ports {
		if !slices.ContainsFunc(container.Ports, func(it corev1.ContainerPort) bool { return it.Name == port }) {
			t.Errorf("the container has no port %q", port)
		}
	}
	if name := container.EnvFrom[0].ConfigMapRef.Name; name != only[*corev1.ConfigMap](t, all).Name {
		t.Errorf("the container reads the settings of %q, which does not exist", name)
	}
	if name := pod.Spec.ServiceAccountName; name != only[*corev1.ServiceAccount](t, all).Name {
		t.Errorf("the pod has the service account %q, which does not exist", name)
	}
	target := only[*autoscalingv2.HorizontalPodAutoscaler](t, all).Spec.ScaleTargetRef
	if deployment := only[*appsv1.Deployment](t, all); target.Name != deployment.Name || target.Kind != deployment.Kind {
		t.Errorf("the autoscaler is for %v, which does not exist", target)
	}
}

// The restricted profile of Kubernetes' Pod Security Standards, and a root that cannot be written.
func TestKubernetes_PodIsRestricted(t *testing.T) {
	pod := only[*appsv1.Deployment](t, objects(t)).Spec.Template.Spec
	container := pod.Containers[0].SecurityContext
	for rule, kept := range map[string]bool{
		"it does not run as root":    *pod.SecurityContext.RunAsNonRoot && *pod.SecurityContext.RunAsUser == 65532,
		"it has the default seccomp": pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"it cannot gain privileges":  !*container.AllowPrivilegeEscalation,
		"it has no capabilities":     slices.Equal(container.Capabilities.Drop, []corev1.Capability{"ALL"}) && container.Capabilities.Add == nil,
		"its root cannot be written": *container.ReadOnlyRootFilesystem,
		"no service adds variables":  !*pod.EnableServiceLinks,
		"it outlives its drain":      *pod.TerminationGracePeriodSeconds > 20+pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds,
		"secrets are files":          pod.Volumes[0].Secret != nil && *pod.Volumes[0].Secret.DefaultMode == 0o440,
	} {
		if !kept {
			t.Errorf("the rule is broken: %s", rule)
		}
	}
}

func TestCompose_IsValid(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(deploy, "compose", "compose.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, service := range project.Services {
		for _, secret := range service.Secrets {
			if _, ok := project.Secrets[secret.Source]; !ok {
				t.Errorf("%s has the secret %s, which does not exist", name, secret.Source)
			}
		}
	}
	// `secrets` makes the file of each.
	script, err := os.ReadFile(filepath.Join(deploy, "compose", "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range project.Secrets {
		if !strings.Contains(string(script), ">secrets.d.new/"+name+"\n") {
			t.Errorf("the script `secrets` does not make %s", name)
		}
	}
}

// An alert without a paragraph for the operator, or that was never seen to fire, is noise at night.
func TestAlerts_HaveRunbookAndTest(t *testing.T) {
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{deploy}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	runbook, tests := read("..", "docs", "operations.md"), read("prometheus", "alerts_test.yaml")
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(runbook, -1) {
		anchors[strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")] = true
	}
	alert := regexp.MustCompile(`(?s)- alert: (\w+)\n.*?runbook: docs/operations\.md#(\S+)`)
	found := alert.FindAllStringSubmatch(read("prometheus", "alerts.yaml"), -1)
	if len(found) < 14 {
		t.Fatalf("%d alerts", len(found))
	}
	for _, it := range found {
		name, anchor := it[1], it[2]
		if !anchors[anchor] {
			t.Errorf("%s: docs/operations.md has no heading %q", name, anchor)
		}
		if !strings.Contains(runbook, "`"+name+"`") {
			t.Errorf("docs/operations.md does not name %s", name)
		}
		if !strings.Contains(tests, "alertname: "+name+", exp_alerts: [{") {
			t.Errorf("no test shows %s firing", name)
		}
	}
}

func TestSettings_Exist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := string(text)
	setting := regexp.MustCompile(`\bROLLCALL_[A-Z_]+`)
	seen := 0
	err = filepath.WalkDir(deploy, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range setting.FindAllString(string(text), -1) {
			seen++
			if !strings.Contains(documented, "`"+strings.TrimSuffix(name, "_FILE")+"`") {
				t.Errorf("%s: %s is not a setting", path, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Errorf("only %d settings were found", seen)
	}
}
