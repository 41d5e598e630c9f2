package console

import (
	"regexp"
	"strings"
)

// tableTag matches the tags of tables in templates. A narrow table matches as a whole.
var tableTag = regexp.MustCompile(`(?s)<table class="narrow">.*?</table>|<(table|thead|tbody|tr|td|th scope="col"|th scope="row")(?:\s[^>]*)?>`)

// tableRoles are the roles of the tags that tableTag matches.
var tableRoles = map[string]string{
	"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "td": "cell",
	`th scope="col"`: "columnheader", `th scope="row"`: "rowheader",
}

// withRoles returns the text of a template with a role in each tag of its tables that has none. On
// narrow screens, the style sheet shows rows as blocks, and without roles browsers would no longer
// tell screen readers that they are rows. Narrow tables stay tables there and need no roles.
func withRoles(text string) string {
	return tableTag.ReplaceAllStringFunc(text, func(tag string) string {
		name := tableTag.FindStringSubmatch(tag)[1]
		if name == "" || strings.Contains(tag, " role=") {
			return tag
		}
		return "<" + name + ` role="` + tableRoles[name] + `"` + tag[1+len(name):]
	})
}
