package console

// explorerPath is where the GraphQL explorer is.
const explorerPath = Root + "explorer"

// showExplorer shows GraphiQL, which speaks to the API as any client does: with
// the token that the operator pastes, not with the console's session.
func (c *console) showExplorer(v *visit) error {
	return c.show(v, "explorer", nil)
}
