package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The values of DrainVerdict.
const (
	can     = 1
	notNow  = 2
	cannot  = 3
	unknown = 4
)

// Budget is a PodDisruptionBudget.
type Budget struct {
	Meta Meta `json:"metadata"`
	Spec struct {
		Selector  *Selector `json:"selector"`
		Unhealthy string    `json:"unhealthyPodEvictionPolicy"`
	} `json:"spec"`
	Status struct {
		Observed   int64 `json:"observedGeneration"`
		Allowed    int   `json:"disruptionsAllowed"`
		Current    int   `json:"currentHealthy"`
		Desired    int   `json:"desiredHealthy"`
		Expected   int   `json:"expectedPods"`
		Conditions []struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		} `json:"conditions"`
	} `json:"status"`
}

// Selector selects by labels.
type Selector struct {
	Labels      map[string]string `json:"matchLabels"`
	Expressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

func (s *Selector) fits(labels map[string]string) bool {
	if s == nil {
		return false
	}
	for key, value := range s.Labels {
		if found, ok := labels[key]; !ok || found != value {
			return false
		}
	}
	for _, rule := range s.Expressions {
		value, ok := labels[rule.Key]
		in := ok && slices.Contains(rule.Values, value)
		if fits := map[string]bool{"In": in, "NotIn": !in, "Exists": ok, "DoesNotExist": !ok}[rule.Operator]; !fits {
			return false
		}
	}
	return true
}

// asks tells whether the pod asks the budget: the budget selects it and does not let it go unasked.
func (b Budget) asks(pod Pod) bool {
	if b.Meta.Namespace != pod.Meta.Namespace || pod.Status.Phase == "Pending" || !b.Spec.Selector.fits(pod.Meta.Labels) {
		return false
	}
	ready := false
	for _, condition := range pod.Status.Conditions {
		ready = ready || condition.Type == "Ready" && condition.Status == "True"
	}
	enough := b.Status.Current >= b.Status.Desired && b.Status.Desired > 0
	return ready || !enough && b.Spec.Unhealthy != "AlwaysAllow"
}

// verdict judges the budget when so many pods ask it, of which so many are of other nodes.
func (b Budget) verdict(own, beside int) int {
	for _, condition := range b.Status.Conditions {
		if condition.Type == "DisruptionAllowed" && condition.Reason == "SyncFailed" {
			return cannot
		}
	}
	if b.Status.Observed < b.Meta.Generation {
		return notNow
	}
	if b.Status.Desired >= b.Status.Expected && b.Status.Expected > 0 && b.Status.Allowed == 0 {
		return cannot
	}
	if b.Status.Allowed == 0 || beside > 0 && b.Status.Allowed < own+beside {
		return notNow
	}
	return can
}

// answerQuestions takes the questions of the drain check, one of all drainers each.
func (d *Drainer) answerQuestions(ctx context.Context) error {
	_, err := d.nc.QueueSubscribe("bellwether.v1.ask.*.drain", consumer, func(message *nats.Msg) {
		go func() {
			if ctx.Err() == nil {
				d.answer(message)
			}
		}()
	})
	return err
}

func (d *Drainer) answer(message *nats.Msg) {
	parts := strings.Split(message.Subject, ".")
	body, err := parse(message.Data)
	node := body.text(1)
	_, missing := body.instant(2)
	beside := body.bodies[3]
	err = errors.Join(err, checkHeaders(message.Header, "CheckDrain"), checkNode(node), missing)
	for _, other := range beside {
		err = errors.Join(err, checkNode(string(other)))
	}
	if err != nil || len(parts) != 5 || token(node) != parts[3] {
		return
	}
	if len(beside) > 100 {
		beside = beside[:100]
	}
	type result struct {
		verdict, goes, stays int
		why                  string
	}
	results := make(chan result, 1)
	go func() {
		verdict, goes, stays, why := d.forecast(node, beside)
		results <- result{verdict, goes, stays, why}
	}()
	found := result{verdict: unknown, why: "the API server does not answer"}
	select {
	case found = <-results:
	case <-time.After(5 * time.Second):
	}
	asked, _ := body.body(2)
	answer := number(bytes(text(nil, 1, node), 2, asked), 3, uint64(found.verdict))
	answer = number(number(answer, 4, uint64(found.goes)), 5, uint64(found.stays))
	if found.why != "" {
		kind := map[int]uint64{cannot: 2, notNow: 4, unknown: 7}[found.verdict]
		answer = bytes(answer, 7, text(number(nil, 1, kind), 3, found.why))
	}
	reply := nats.NewMsg("bellwether.v1.answer." + token(node) + ".drain")
	reply.Data = text(answer, 8, source)
	reply.Header.Set("Bellwether-Type", "bellwether.v1.DrainForecast")
	reply.Header.Set("Bellwether-Schema", "1.0")
	reply.Header.Set("content-type", "application/protobuf")
	d.nc.PublishMsg(reply)
}

// forecast looks whether the node can be drained.
func (d *Drainer) forecast(node string, beside [][]byte) (verdict, going, staying int, why string) {
	var budgets struct {
		Items []Budget `json:"items"`
	}
	own, err := d.kube.pods(node)
	if err == nil {
		err = d.kube.call(context.Background(), "GET", "/apis/policy/v1/poddisruptionbudgets", "", nil, &budgets)
	}
	var others []Pod
	for _, other := range beside {
		if err == nil && string(other) != node {
			var pods []Pod
			pods, err = d.kube.pods(string(other))
			others = append(others, pods...)
		}
	}
	if err != nil {
		return unknown, 0, 0, cut(err.Error())
	}
	count := func(pods []Pod) (asking map[string]int, several bool) {
		asking = map[string]int{}
		for _, pod := range pods {
			if classify(pod, d.kinds) != goes {
				continue
			}
			asked, matching := "", 0
			for _, budget := range budgets.Items {
				if budget.Meta.Namespace == pod.Meta.Namespace && budget.Spec.Selector.fits(pod.Meta.Labels) {
					matching++
				}
				if budget.asks(pod) {
					asked = budget.Meta.Namespace + "/" + budget.Meta.Name
				}
			}
			if asked != "" {
				asking[asked]++
			}
			several = several || matching > 1 && pod.Status.Phase != "Pending"
		}
		return asking, several
	}
	for _, pod := range own {
		if classify(pod, d.kinds) == stays {
			staying++
		} else {
			going++
		}
	}
	verdict = can
	asking, several := count(own)
	if several {
		verdict, why = cannot, "two disruption budgets select one pod"
	}
	elsewhere, _ := count(others)
	for _, budget := range budgets.Items {
		name := budget.Meta.Namespace + "/" + budget.Meta.Name
		if asking[name] == 0 {
			continue
		}
		if found := budget.verdict(asking[name], elsewhere[name]); found > verdict {
			verdict, why = found, fmt.Sprintf("PodDisruptionBudget %s allows %d evictions", name, budget.Status.Allowed)
		}
	}
	return verdict, going, staying, why
}
