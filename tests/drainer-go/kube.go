package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Kube talks to the API server in plain HTTP.
type Kube struct {
	server string
	token  func() string
	client *http.Client
}

const podAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// newKube finds the API server by KUBECONFIG (in JSON), or as a pod does.
func newKube() (*Kube, error) {
	var authority []byte
	kube := &Kube{}
	if path := os.Getenv("KUBECONFIG"); path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var config struct {
			Clusters []struct {
				Cluster struct {
					Server    string `json:"server"`
					Authority string `json:"certificate-authority"`
				} `json:"cluster"`
			} `json:"clusters"`
			Users []struct {
				User struct {
					Token string `json:"token"`
				} `json:"user"`
			} `json:"users"`
		}
		if err := json.Unmarshal(content, &config); err != nil || len(config.Clusters) != 1 || len(config.Users) != 1 {
			return nil, fmt.Errorf("%s is no JSON of one cluster and one user: %w", path, err)
		}
		kube.server = config.Clusters[0].Cluster.Server
		kube.token = func() string { return config.Users[0].User.Token }
		if authority, err = os.ReadFile(config.Clusters[0].Cluster.Authority); err != nil {
			return nil, err
		}
	} else {
		kube.server = "https://" + os.Getenv("KUBERNETES_SERVICE_HOST") + ":" + os.Getenv("KUBERNETES_SERVICE_PORT")
		// The kubelet renews the file.
		kube.token = func() string {
			content, _ := os.ReadFile(podAccount + "token")
			return strings.TrimSpace(string(content))
		}
		var err error
		if authority, err = os.ReadFile(podAccount + "ca.crt"); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("no authority of the API server")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	kube.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return kube, nil
}

// Status is the API server's explanation of an answer.
type Status struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Details struct {
		RetryAfter int `json:"retryAfterSeconds"`
		Causes     []struct {
			Reason string `json:"reason"`
		} `json:"causes"`
	} `json:"details"`
}

func (s Status) Error() string { return fmt.Sprintf("%d %s", s.Code, s.Message) }

func (s Status) cause(reason string) bool {
	for _, cause := range s.Details.Causes {
		if cause.Reason == reason {
			return true
		}
	}
	return false
}

func code(err error) int {
	var status Status
	if errors.As(err, &status) {
		return status.Code
	}
	return 0
}

// call makes one request. Its error is a Status if the API server gave one.
func (k *Kube) call(ctx context.Context, method, path, contentType string, body, into any) error {
	var reader io.Reader
	if body != nil {
		content, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = strings.NewReader(string(content))
	}
	request, err := http.NewRequestWithContext(ctx, method, k.server+path, reader)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+k.token())
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := k.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		var status Status
		json.Unmarshal(content, &status)
		status.Code = answer.StatusCode
		return status
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}

// Meta is the metadata of an object.
type Meta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Version     string            `json:"resourceVersion"`
	Generation  int64             `json:"generation"`
	Annotations map[string]string `json:"annotations"`
	Labels      map[string]string `json:"labels"`
	Finalizers  []string          `json:"finalizers"`
	Deletion    *time.Time        `json:"deletionTimestamp"`
	Owners      []struct {
		Version    string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		Controller bool   `json:"controller"`
	} `json:"ownerReferences"`
}

// Node is a Node object.
type Node struct {
	Meta Meta `json:"metadata"`
	Spec struct {
		Unschedulable bool              `json:"unschedulable"`
		Taints        []json.RawMessage `json:"taints"`
	} `json:"spec"`
}

// Pod is a Pod object.
type Pod struct {
	Meta   Meta `json:"metadata"`
	Status struct {
		Phase      string `json:"phase"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

const mark = "bellwether.dev/cordoned-for"

// node reads the object; none if there is none.
func (k *Kube) node(name string) (*Node, error) {
	var node Node
	err := k.call(context.Background(), "GET", "/api/v1/nodes/"+name, "", nil, &node)
	if code(err) == 404 {
		return nil, nil
	}
	return &node, err
}

// patchNode changes the version of the object that was read.
func (k *Kube) patchNode(node *Node, annotations, labels, spec map[string]any) error {
	metadata := map[string]any{"resourceVersion": node.Meta.Version}
	patch := map[string]any{"metadata": metadata}
	// A null would remove all of them.
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	if labels != nil {
		metadata["labels"] = labels
	}
	if spec != nil {
		patch["spec"] = spec
	}
	path := "/api/v1/nodes/" + node.Meta.Name
	return k.call(context.Background(), "PATCH", path, "application/merge-patch+json", patch, nil)
}

// pods lists the pods of the node from the store: a list without a version.
func (k *Kube) pods(node string) ([]Pod, error) {
	var list struct {
		Items []Pod `json:"items"`
	}
	selector := url.QueryEscape("spec.nodeName=" + node)
	err := k.call(context.Background(), "GET", "/api/v1/pods?fieldSelector="+selector, "", nil, &list)
	return list.Items, err
}

func (k *Kube) evict(pod Pod) error {
	eviction := map[string]any{
		"apiVersion": "policy/v1", "kind": "Eviction",
		"metadata":      map[string]any{"name": pod.Meta.Name, "namespace": pod.Meta.Namespace},
		"deleteOptions": map[string]any{"preconditions": map[string]any{"uid": pod.Meta.UID}},
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", pod.Meta.Namespace, pod.Meta.Name)
	return k.call(context.Background(), "POST", path, "application/json", eviction, nil)
}

// hasRights asks about this drainer's own rights.
func (k *Kube) hasRights() (bool, error) {
	needed := [][4]string{
		{"get", "", "nodes", ""}, {"patch", "", "nodes", ""}, {"list", "", "pods", ""},
		{"create", "", "pods", "eviction"}, {"list", "policy", "poddisruptionbudgets", ""},
	}
	for _, right := range needed {
		review := map[string]any{
			"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
			"spec": map[string]any{"resourceAttributes": map[string]string{
				"verb": right[0], "group": right[1], "resource": right[2], "subresource": right[3],
			}},
		}
		var answer struct {
			Status struct {
				Allowed bool `json:"allowed"`
			} `json:"status"`
		}
		path := "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
		err := k.call(context.Background(), "POST", path, "application/json", review, &answer)
		if err != nil || !answer.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}
