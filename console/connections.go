package console

import (
	"net/http"
	"net/url"
	"strconv"

	"rollcall/internal/appconnections"
	"rollcall/internal/page"
	"rollcall/models"
)

// connectionsPage is the data of connections.html.
type connectionsPage struct {
	App appRow
	// Path is the page, and NowPath the part of it that the page polls. ClosePath and CloseAllPath
	// are the pages that close connections.
	Path, NowPath, ClosePath, CloseAllPath string
	Connections                            []connectionRow
	// Count is the number of connections on all pages.
	Count int
	pager
	May rights
}

// connectionRow is a connection on a page.
type connectionRow struct {
	*appconnections.Open
	// Closing is true if an operator has closed the connection and its node has not done so yet.
	Closing bool
}

func connectionRowOf(app *models.App, o *appconnections.Open) connectionRow {
	return connectionRow{o, o.IsClosing(app)}
}

// connectionsPath returns the page that lists the connections of the app's App Servers.
func connectionsPath(app *models.App) string { return appPath(app) + "/connections" }

func (c *console) listConnections(v *visit) error {
	p, err := c.connectionsPage(v)
	if err != nil {
		return err
	}
	return c.show(v, "connections", p)
}

// pollConnections responds with the current connections.
func (c *console) pollConnections(v *visit) error {
	p, err := c.connectionsPage(v)
	if err != nil {
		return err
	}
	return c.showPart(v, "connections", "connections-now", p)
}

func (c *console) connectionsPage(v *visit) (*connectionsPage, error) {
	app := v.app
	request := pageOf(v, pageSizes[0])
	found, err := c.Connections.List(v.r.Context(), app, request)
	if err != nil {
		return nil, err
	}
	path := connectionsPath(app)
	p := &connectionsPage{
		App: c.appRow(v, app), Path: path, NowPath: path + "/now", ClosePath: path + "/close", CloseAllPath: path + "/close-all",
		pager: pagerAt(path, url.Values{}, request, found.PageInfo()), May: v.rights(),
	}
	if request.After != nil {
		p.NowPath += "?" + url.Values{"after": {*request.After}}.Encode()
	}
	if p.Count, err = found.TotalCount(v.r.Context()); err != nil {
		return nil, err
	}
	for _, o := range found.Nodes() {
		p.Connections = append(p.Connections, connectionRowOf(app, o))
	}
	return p, nil
}

// closeConnectionPage is the data of connection_close.html, which asks before one connection or all
// connections are closed.
type closeConnectionPage struct {
	question
	App appRow
	// All is true if all connections are to be closed.
	All bool
	// Connection is the one to close. It is nil if it no longer exists, or if All is true.
	Connection *connectionRow
	Count      int
}

func (c *console) closeConnectionPage(v *visit) closeConnectionPage {
	return closeConnectionPage{
		App:      c.appRow(v, v.app),
		question: question{Path: v.r.URL.EscapedPath(), Back: connectionsPath(v.app), Danger: true},
	}
}

// askCloseConnection asks before one connection is closed.
func (c *console) askCloseConnection(v *visit) error {
	app := v.app
	p := c.closeConnectionPage(v)
	if id, err := strconv.ParseInt(v.r.URL.Query().Get("connection"), 10, 64); err == nil {
		o, err := c.Connections.ByID(v.r.Context(), app, id)
		if err != nil {
			return err
		}
		if o != nil {
			row := connectionRowOf(app, o)
			p.Connection, p.Fits = &row, !row.Closing
		}
	}
	return c.show(v, "connection_close", p)
}

// askCloseConnections asks before all connections are closed.
func (c *console) askCloseConnections(v *visit) error {
	app := v.app
	found, err := c.Connections.List(v.r.Context(), app, page.Request{First: 1})
	if err != nil {
		return err
	}
	p := c.closeConnectionPage(v)
	p.All = true
	if p.Count, err = found.TotalCount(v.r.Context()); err != nil {
		return err
	}
	p.Fits = p.Count > 0
	return c.show(v, "connection_close", p)
}

// closeConnection closes the connection that the form names.
func (c *console) closeConnection(v *visit) error {
	app := v.app
	id, err := strconv.ParseInt(v.r.PostFormValue("connection"), 10, 64)
	if err != nil {
		return problem{http.StatusBadRequest, "error.invalid"}
	}
	closed, err := c.Connections.Close(v.r.Context(), app, id, c.actor(v))
	if err != nil {
		return err
	}
	text := "connections.done"
	if !closed {
		text = "connections.gone"
	}
	if err := c.setFlash(v, text, ""); err != nil {
		return err
	}
	return v.redirect(connectionsPath(app))
}

// closeConnections closes all connections of the app's App Servers, including those that are not
// listed yet.
func (c *console) closeConnections(v *visit) error {
	app := v.app
	found, err := c.Connections.CloseAll(v.r.Context(), app, c.actor(v))
	if err != nil {
		return err
	}
	if !found {
		return c.notFound(v)
	}
	if err := c.setFlash(v, "connections.all_done", ""); err != nil {
		return err
	}
	return v.redirect(connectionsPath(app))
}
