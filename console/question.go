package console

// question is what each page has that asks before something is done; see "ask" in layout.html.
type question struct {
	// Path is the target of the form, and Back the page that the reader came from.
	Path, Back string
	// Fits is true if there is something to do. If not, the page says why.
	Fits bool
	// Danger marks what cannot be undone.
	Danger bool
}
