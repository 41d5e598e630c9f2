package main

import (
	"fmt"
	"os"
	"regexp"
)

// unused is what the generated code need not have, and how often it is there. For
// graphql.UnmarshalInputFromContext, which directives could call and none here does,
// gqlgen binds the readers of all input types and sorts them into a map by
// reflection, for each operation anew: an eighth of all the objects that a small
// query allocates.
var unused = []struct {
	text  *regexp.Regexp
	times int
}{
	{regexp.MustCompile(`(?s)\tinputUnmarshalMap := graphql\.BuildUnmarshalerMap\([^)]*\)\n`), 1},
	{regexp.MustCompile(`\t+ctx = graphql\.WithUnmarshalerMap\(ctx, inputUnmarshalMap\)\n`), 2},
}

// trim takes what is unused out of the file that gqlgen has written. It refuses one
// that does not look as it should: another version of gqlgen may need another trim.
func trim(name string) error {
	code, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("trim the generated code: %w", err)
	}
	for _, u := range unused {
		if n := len(u.text.FindAll(code, -1)); n != u.times {
			return fmt.Errorf("trim the generated code: %s is %d times in %s, not %d", u.text, n, name, u.times)
		}
		code = u.text.ReplaceAll(code, nil)
	}
	if err := os.WriteFile(name, code, 0o644); err != nil {
		return fmt.Errorf("trim the generated code: %w", err)
	}
	return nil
}
