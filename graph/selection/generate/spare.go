package main

import (
	"fmt"
	"os"
	"regexp"
)

// unmarshalers are what gqlgen has each operation do for resolvers that read the
// inputs of their arguments by themselves: make a map with a function for every
// input type, and hand it on.
var unmarshalers = regexp.MustCompile(
	`\t+inputUnmarshalMap := graphql\.BuildUnmarshalerMap\([^)]*\)\n|\t+ctx = graphql\.WithUnmarshalerMap\(ctx, inputUnmarshalMap\)\n`)

// spare takes the unmarshalers out of gqlgen's code: no resolver here asks for
// them, and they were every eighth allocation of a small query.
func spare(filename string) error {
	code, err := os.ReadFile(filename)
	if err != nil {
		return fmt.Errorf("read gqlgen's code: %w", err)
	}
	if !unmarshalers.Match(code) {
		return fmt.Errorf("%s makes no map of unmarshalers any more, so nothing is to be spared", filename)
	}
	if err := os.WriteFile(filename, unmarshalers.ReplaceAll(code, nil), 0o644); err != nil {
		return fmt.Errorf("write gqlgen's code: %w", err)
	}
	return nil
}
