package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/apps"
	"rollcall/internal/audit"
)

// auditFact is a part of an entry's detail as pages show it.
type auditFact struct {
	// Label is the key of its name, or "" if the values need none.
	Label  string
	Values []auditValue
	// Changed reports whether the values have replaced those in Before.
	Changed bool
	Before  []auditValue
}

// auditValue is one value, on a line of its own if a fact has several.
type auditValue struct {
	// Key is the key of its text. Text is shown if there is no such text.
	Key, Text string
	// Length is shown instead if the value is a length.
	Length *banLength
}

// Lines reports whether the fact has a list, which is shown line by line.
func (f auditFact) Lines() bool { return len(f.Values) > 1 || len(f.Before) > 1 }

// Facts returns the parts of the entry's detail, or nil if it is not known how to read it.
func (r auditRow) Facts() []auditFact {
	if read := detailReaders[r.Action]; read != nil {
		return read(r.Detail)
	}
	return nil
}

// detailReaders read the details of entries by their action.
var detailReaders = map[string]func(detail string) []auditFact{
	audit.ActionAppSet:             changeFacts,
	audit.ActionAppCreate:          appFacts,
	audit.ActionAppDelete:          appFacts,
	audit.ActionAppExportUsers:     exportFacts,
	audit.ActionExport:             auditExportFacts,
	audit.ActionAppRotateSecret:    overlapFacts,
	audit.ActionTokenKeyRotate:     overlapFacts,
	audit.ActionAppCloseConnection: connectionFacts,
	audit.ActionUserBan:            banFacts,
	audit.ActionUserDelete:         erasureFacts,
	audit.ActionUserDeactivate:     erasureFacts,
	audit.ActionUserAllow:          userFacts,
	audit.ActionUserUnblock:        userFacts,
	audit.ActionUserAddNote:        noteFacts,
	audit.ActionUserDeleteNote:     noteFacts,
	audit.ActionWebhookCreate:      endpointFacts,
	audit.ActionWebhookUpdate:      endpointFacts,
	audit.ActionWebhookEnable:      endpointFacts,
	audit.ActionWebhookDisable:     endpointFacts,
	audit.ActionWebhookDelete:      endpointFacts,
	audit.ActionWebhookTest:        endpointFacts,
	audit.ActionWebhookReplay:      endpointFacts,
	audit.ActionConfirmFailed:      confirmFacts,
}

// fact returns a fact with one value.
func fact(label, key, text string) auditFact {
	return auditFact{Label: label, Values: []auditValue{{Key: key, Text: text}}}
}

// detailFields returns the values of a detail that has these fields in this order, as in "name=a b
// edition=PREMIUM". Each may be missing. It returns nil if the detail has anything else.
func detailFields(detail string, names ...string) map[string]string {
	fields := map[string]string{}
	rest := " " + detail
	for _, name := range slices.Backward(names) {
		if at := strings.LastIndex(rest, " "+name+"="); at >= 0 {
			fields[name] = rest[at+len(name)+2:]
			rest = rest[:at]
		}
	}
	if strings.TrimSpace(rest) != "" {
		return nil
	}
	return fields
}

// settingLabel returns the key of the name that the settings page has for a setting.
func settingLabel(name string) string {
	if name == "name" || name == "edition" {
		return "app." + name
	}
	return "settings." + name
}

// settingValues returns the values of a setting: several for a list, none for an empty text.
func settingValues(name, text string) []auditValue {
	var values []auditValue
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		key := map[string]string{"edition": "edition." + line, "friendRequestPolicy": "policy." + line}[name]
		if line == "true" || line == "false" {
			key = "settings.is." + line
		}
		if name == "name" {
			key = ""
		}
		values = append(values, auditValue{Key: key, Text: line})
	}
	return values
}

func changeFacts(detail string) (facts []auditFact) {
	for _, c := range apps.ReadChanges(detail) {
		f := auditFact{Label: settingLabel(c.Name), Values: settingValues(c.Name, c.After)}
		if c.Before != nil {
			f.Changed, f.Before = true, settingValues(c.Name, *c.Before)
		}
		facts = append(facts, f)
	}
	return facts
}

func appFacts(detail string) (facts []auditFact) {
	fields := detailFields(detail, "name", "environment", "edition")
	for _, name := range []string{"name", "environment", "edition"} {
		if value, given := fields[name]; given {
			key := name + "." + value
			if name == "name" {
				key = ""
			}
			facts = append(facts, fact("app."+name, key, value))
		}
	}
	return facts
}

// exportFacts reads what was exported: a number of ticked users, or the filter of the list.
func exportFacts(detail string) []auditFact {
	var facts []auditFact
	states := auditFact{Label: "user.state"}
	presences := auditFact{Label: "user.status"}
	for part := range strings.FieldsSeq(detail) {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "users":
			return []auditFact{fact("audit.detail.users", "", value)}
		case "searched":
			if value == "true" {
				facts = append(facts, fact("", "audit.detail.searched", ""))
			}
		case "state":
			states.Values = append(states.Values, auditValue{Key: "state." + value, Text: value})
		case "presence":
			presences.Values = append(presences.Values, auditValue{Key: "presence." + value, Text: value})
		default:
			return nil
		}
	}
	for _, f := range []auditFact{states, presences} {
		if len(f.Values) > 0 {
			facts = append(facts, f)
		}
	}
	if len(facts) == 0 {
		return []auditFact{fact("", "audit.detail.all_users", "")}
	}
	return facts
}

// auditExportFacts reads which parts the filter of an export of the audit had.
func auditExportFacts(detail string) []auditFact {
	var facts []auditFact
	filter := auditFact{Label: "audit.detail.filtered"}
	for part := range strings.FieldsSeq(detail) {
		name, value, _ := strings.Cut(part, "=")
		switch {
		case name == "action":
			facts = append(facts, fact("audit.action", "audit."+value, value))
		case !slices.Contains([]string{"actor", "target", "text", "days"}, name):
			return nil
		case value == "true":
			filter.Values = append(filter.Values, auditValue{Key: "audit." + name})
		}
	}
	if len(filter.Values) > 0 {
		facts = append(facts, filter)
	}
	if len(facts) == 0 {
		return []auditFact{fact("", "audit.detail.all", "")}
	}
	return facts
}

func overlapFacts(detail string) []auditFact {
	overlap, err := time.ParseDuration(detailFields(detail, "overlap")["overlap"])
	if err != nil {
		return nil
	}
	if overlap < time.Minute {
		return []auditFact{fact("audit.detail.overlap", "list.none", "")}
	}
	return []auditFact{{Label: "audit.detail.overlap", Values: []auditValue{{Length: lengthOf(int(overlap / time.Minute))}}}}
}

func connectionFacts(detail string) (facts []auditFact) {
	fields := detailFields(detail, "transport", "address", "node")
	labels := map[string]string{"transport": "connection.transport", "address": "audit.address", "node": "connection.node"}
	for _, name := range []string{"transport", "address", "node"} {
		if value := fields[name]; value != "" {
			facts = append(facts, fact(labels[name], name+"."+value, value))
		}
	}
	return facts
}

// banFacts reads the detail of a ban without an end. Length reads the others.
func banFacts(detail string) []auditFact {
	if detail != "permanent" {
		return nil
	}
	return []auditFact{fact("", "ban.permanent", "")}
}

// erasureFacts leaves out the kinds of which nothing was erased.
func erasureFacts(detail string) []auditFact {
	erased := audit.ReadErased(detail)
	if erased == nil {
		return nil
	}
	var facts []auditFact
	for _, kind := range audit.ErasedKinds() {
		if erased[kind] > 0 {
			facts = append(facts, fact("erased."+kind, "", strconv.Itoa(erased[kind])))
		}
	}
	if len(facts) == 0 {
		return []auditFact{fact("certificate.erased", "list.none", "")}
	}
	return facts
}

func userFacts(detail string) []auditFact {
	if id, found := strings.CutPrefix(detail, "user="); found {
		return []auditFact{fact("audit.detail.user", "", id)}
	}
	return nil
}

// confirmFacts reads why a confirmation failed, which earlier releases did not record.
func confirmFacts(detail string) []auditFact {
	reason, found := strings.CutPrefix(detail, "reason=")
	if !found {
		return nil
	}
	key := "reason." + reason
	if reason == audit.ReasonWrongCode {
		key = "reason.wrong_code_only" // no password is asked for with it
	}
	return []auditFact{fact("", key, reason)}
}

func noteFacts(detail string) []auditFact {
	if number, found := strings.CutPrefix(detail, "note="); found {
		return []auditFact{fact("audit.detail.note", "", number)}
	}
	return nil
}

// endpointLabels are the keys of the names of an endpoint's fields.
var endpointLabels = map[string]string{"url": "webhook.url", "description": "webhook.description", "eventTypes": "webhook.types"}

func endpointFacts(detail string) (facts []auditFact) {
	fields := detailFields(detail, "changed", "state", "reason")
	if changed := fields["changed"]; changed != "" {
		f := auditFact{Label: "audit.detail.changed"}
		for name := range strings.SplitSeq(changed, ",") {
			f.Values = append(f.Values, auditValue{Key: endpointLabels[name], Text: name})
		}
		facts = append(facts, f)
	}
	if state := fields["state"]; state != "" {
		facts = append(facts, fact("webhook.state", "webhook.state."+state, state))
	}
	if reason := fields["reason"]; reason != "" {
		facts = append(facts, fact("", "webhook.reason."+reason, reason))
	}
	return facts
}
