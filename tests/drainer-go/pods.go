package main

import "strings"

// Class is what becomes of a pod.
type Class int

const (
	goes Class = iota
	stays
	ends
)

func daemonSetKinds(more string) map[string]bool {
	kinds := map[string]bool{
		"apps/DaemonSet": true, "apps.kruise.io/DaemonSet": true, "datadoghq.com/ExtendedDaemonSetReplicaSet": true,
	}
	for _, kind := range strings.Split(more, ",") {
		kinds[kind] = kind != ""
	}
	return kinds
}

// classify applies the rows of "Which pods go"; the first that fits counts.
func classify(pod Pod, kinds map[string]bool) Class {
	group, kind, _ := controller(pod)
	_, mirrored := pod.Meta.Annotations["kubernetes.io/config.mirror"]
	finished := pod.Status.Phase == "Succeeded" || pod.Status.Phase == "Failed"
	switch {
	case mirrored || kind == "Node":
		return stays
	case finished && (pod.Meta.Deletion == nil || len(pod.Meta.Finalizers) > 0):
		return stays
	case kinds[group+"/"+kind]:
		return stays
	case pod.Meta.Annotations["bellwether.dev/stays"] == "true":
		return stays
	case pod.Meta.Deletion != nil:
		return ends
	}
	return goes
}

// controller is the API group, kind and name of the pod's controller; empty without one.
func controller(pod Pod) (group, kind, name string) {
	for _, owner := range pod.Meta.Owners {
		if owner.Controller {
			group, _, found := strings.Cut(owner.Version, "/")
			if !found {
				group = ""
			}
			return group, owner.Kind, owner.Name
		}
	}
	return "", "", ""
}

// origin is what brings a pod back: its controller, or its own name.
func origin(pod Pod) string {
	if _, kind, name := controller(pod); kind != "" {
		return pod.Meta.Namespace + "/" + kind + "/" + name
	}
	return pod.Meta.Namespace + "/" + pod.Meta.Name
}
