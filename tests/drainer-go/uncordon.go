package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	taintKey    = "bellwether.dev/waits-for-reboot"
	taintEffect = "PreferNoSchedule"
	guardedBy   = "bellwether.dev/guarded-by"
	// A label, and listed with the annotations all the same.
	outOfLoadBalancers = "node.kubernetes.io/exclude-from-external-load-balancers"
)

// The annotations by which autoscalers leave a node alone. This drainer sets none, and removes those of another one.
var guards = []string{"cluster-autoscaler.kubernetes.io/scale-down-disabled", "karpenter.sh/do-not-disrupt"}

// uncordon removes the attempt's cordon, and no other.
func (d *Drainer) uncordon(ctx context.Context, command Command, message *nats.Msg) {
	end := time.Now().Add(20 * time.Second)
	for {
		left, done, moved := d.tryUncordon(command)
		if moved {
			message.Ack()
			return
		}
		if done {
			var fact []byte
			if left {
				fact = number(nil, 1, 1)
			}
			if d.event(ctx, command, "uncordoned", 14, fact) {
				message.Ack()
			} else {
				message.Nak()
			}
			return
		}
		if ctx.Err() != nil {
			message.Nak()
			return
		}
		if time.Now().After(end) {
			if d.permit(command) == permitted {
				d.event(ctx, command, "uncordon-failed", 15, text(nil, 1, "the API server did not take the change for 20 s"))
			}
			message.NakWithDelay(5 * time.Second)
			return
		}
		pause(ctx, time.Second)
	}
}

// tryUncordon reads the Node, then the record, then patches.
func (d *Drainer) tryUncordon(command Command) (left, done, gone bool) {
	node, err := d.kube.node(command.node)
	if err != nil {
		return false, false, false
	}
	permit, record := d.permitWith(command)
	if permit != permitted {
		return false, false, permit == moved
	}
	if node == nil || node.Meta.UID != command.uid || node.Meta.Deletion != nil {
		return false, true, false
	}
	if node.Meta.Annotations[mark] != command.attempt {
		return node.Spec.Unschedulable, true, false
	}
	annotations := map[string]any{mark: nil, guardedBy: nil}
	var labels map[string]any
	for guard := range strings.SplitSeq(node.Meta.Annotations[guardedBy], ",") {
		if slices.Contains(guards, guard) {
			annotations[guard] = nil
		}
		if guard == outOfLoadBalancers {
			labels = map[string]any{guard: nil}
		}
	}
	if record.cordonRemoved {
		err = d.kube.patchNode(node, annotations, labels, nil)
		return node.Spec.Unschedulable, err == nil, false
	}
	err = d.kube.patchNode(node, annotations, labels, map[string]any{"unschedulable": nil})
	return false, err == nil, false
}

// taint lets the node carry our taint, or not. Nothing permits or answers this command.
func (d *Drainer) taint(ctx context.Context, command Command, message *nats.Msg) {
	for range 4 {
		if !time.Now().Before(command.notAfter) {
			message.Ack()
			return
		}
		node, err := d.kube.node(command.node)
		if err == nil && (node == nil || node.Meta.UID != command.uid || node.Meta.Deletion != nil) {
			message.Ack()
			return
		}
		if err == nil && d.changeTaint(node, command.present) == nil {
			message.Ack()
			return
		}
		pause(ctx, 200*time.Millisecond)
	}
	message.NakWithDelay(5 * time.Second)
}

func (d *Drainer) changeTaint(node *Node, present bool) error {
	taints := []any{}
	found, right := 0, 0
	for _, raw := range node.Spec.Taints {
		var taint struct{ Key, Value, Effect string }
		json.Unmarshal(raw, &taint)
		if taint.Key != taintKey {
			taints = append(taints, raw)
			continue
		}
		found++
		if taint.Effect == taintEffect && taint.Value == "" {
			right++
		}
	}
	if present && found == 1 && right == 1 || !present && found == 0 {
		return nil
	}
	if present {
		taints = append(taints, map[string]string{"key": taintKey, "effect": taintEffect})
	}
	return d.kube.patchNode(node, nil, nil, map[string]any{"taints": taints})
}
