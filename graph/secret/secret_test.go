package secret

import (
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

func TestInText(t *testing.T) {
	for text, want := range map[string]bool{
		`query($t: String!) { tokenInfo(token: $t) { active } }`:                                false,
		`{ tokenInfo(token: "secret") { active } }`:                                             true,
		`{ tokenInfo(token: """secret""") { active } }`:                                         true,
		`{ me { id } login: tokenInfo(token: "secret") { active } }`:                            true,
		`query($t: String = "secret") { tokenInfo(token: $t) { active } }`:                      true,
		`query { ...F } fragment F on Query { tokenInfo(token: "secret") { active } }`:          true,
		`{ ... on Query { ... { tokenInfo(token: "secret") { active } } } }`:                    true,
		`mutation { issueAppToken(input: {appKey: "key", appSecret: "secret"}) { token } }`:     true,
		`mutation($in: IssueAppTokenInput!) { issueAppToken(input: $in) { token } }`:            false,
		`mutation($s: String!) { issueAppToken(input: {appKey: $s, ttlSeconds: 5}) { token } }`: false,
		`{ user(id: "ann") { id } }`:                                                            false,
	} {
		doc, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		if got := InText(doc); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
