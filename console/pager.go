package console

import (
	"net/url"

	"rollcall/internal/page"
)

// pager has the links to a list's other pages. Each is "" if there is no such page.
type pager struct{ First, Previous, Next string }

// pageOf returns the page of a list that the query asks for. The list has links to the next page
// only; see pageBothWays.
func pageOf(v *visit, size int) page.Request {
	r := page.Request{First: size}
	if after := v.r.URL.Query().Get("after"); after != "" {
		r.After = &after
	}
	return r
}

// pageBothWays is pageOf for a list that is read with page.Order.Limit.
func pageBothWays(v *visit, size int) page.Request {
	r := pageOf(v, size)
	if before := v.r.URL.Query().Get("before"); before != "" && r.After == nil {
		r.Before = &before
	}
	return r
}

// pagerOf returns the links to the other pages of a list whose page r was read. They keep the rest
// of the request's query.
func pagerOf(v *visit, r page.Request, info *page.Info) pager {
	return pagerAt(v.r.URL.EscapedPath(), v.r.URL.Query(), r, info)
}

// pagerAt is pagerOf for a list at another path than that of the request.
func pagerAt(path string, query url.Values, r page.Request, info *page.Info) (p pager) {
	link := func(name string, cursor *string) string {
		query.Del("after")
		query.Del("before")
		if cursor != nil {
			query.Set(name, *cursor)
		}
		if len(query) == 0 {
			return path
		}
		return path + "?" + query.Encode()
	}
	if r.After != nil || r.Before != nil {
		p.First = link("", nil)
	}
	if info.HasNextPage && info.EndCursor != nil {
		p.Next = link("after", info.EndCursor)
	}
	return p
}

// pagerBothWays is pagerOf for a page of pageBothWays.
func pagerBothWays(v *visit, r page.Request, info *page.Info) pager {
	p := pagerOf(v, r, info)
	if info.HasPreviousPage && info.StartCursor != nil {
		query := v.r.URL.Query()
		query.Del("after")
		query.Set("before", *info.StartCursor)
		p.Previous = v.r.URL.EscapedPath() + "?" + query.Encode()
	}
	return p
}
