package console

// access determines which visitors may use a route.
type access int

const (
	// anyone admits every visitor, logged in or not.
	anyone access = iota
	// operators admits every operator, including viewers.
	viewers
	// admins admits operators that may change things.
	admins
	// confirmed admits admins that have confirmed their password recently; others are asked for it
	// first. It is for POSTs that give access to accounts or apps.
	confirmed
	// polls admits every operator. It is for requests that pages send by themselves. They do not
	// count as use of the session, and once it has ended they respond with 401 instead of a
	// redirect.
	polls
)

// route is a path of the console.
type route struct {
	pattern string
	access  access
	handle  func(*console, *visit) error
}

// routes are all paths of the console except the static files. Every change is a POST for admins.
var routes = []route{
	{"GET /console/login", anyone, (*console).showLogin},
	{"POST /console/login", anyone, (*console).login},
	{"POST /console/logout", viewers, (*console).logout},
	{"POST /console/language", anyone, (*console).chooseLanguage},

	{"GET /console/{$}", viewers, (*console).listApps},
	{"GET /console/apps/new", admins, (*console).askCreateApp},
	{"POST /console/apps/new", admins, (*console).createApp},
	{"GET /console/apps/{key}", viewers, (*console).showOverview},
	{"GET /console/apps/{key}/now", polls, (*console).pollOverview},
	{"GET /console/apps/{key}/charts", polls, (*console).pollCharts},
	{"GET /console/apps/{key}/counts", polls, (*console).pollCounts},
	{"GET /console/apps/{key}/users", viewers, (*console).listUsers},
	{"POST /console/apps/{key}/users.csv", admins, (*console).exportUsers},
	{"GET /console/apps/{key}/users/{id}", viewers, (*console).showUser},
	{"GET /console/apps/{key}/users/{id}/now", polls, (*console).pollUser},
	{"GET /console/apps/{key}/users/{id}/friends", viewers, showPeople(friendList)},
	{"GET /console/apps/{key}/users/{id}/incoming", viewers, showPeople(incomingList)},
	{"GET /console/apps/{key}/users/{id}/outgoing", viewers, showPeople(outgoingList)},
	{"GET /console/apps/{key}/users/{id}/blocklist", viewers, showPeople(blockList)},
	{"GET /console/apps/{key}/users/{id}/whitelist", viewers, showPeople(whiteList)},
	{"GET /console/apps/{key}/users/{id}/subscriptions", viewers, showPeople(subscriptionList)},
	{"GET /console/apps/{key}/users/{id}/ban", admins, (*console).askBan},
	{"POST /console/apps/{key}/users/{id}/ban", admins, (*console).ban},
	{"GET /console/apps/{key}/users/{id}/unban", admins, ask(unbanUser)},
	{"POST /console/apps/{key}/users/{id}/unban", admins, act(unbanUser)},
	{"GET /console/apps/{key}/users/{id}/disconnect", admins, ask(disconnectUser)},
	{"POST /console/apps/{key}/users/{id}/disconnect", admins, act(disconnectUser)},
	{"GET /console/apps/{key}/users/{id}/expire-tokens", admins, ask(expireTokens)},
	{"POST /console/apps/{key}/users/{id}/expire-tokens", admins, act(expireTokens)},
	{"GET /console/apps/{key}/users/{id}/whitelist-on", admins, ask(whitelistOn)},
	{"POST /console/apps/{key}/users/{id}/whitelist-on", admins, act(whitelistOn)},
	{"GET /console/apps/{key}/users/{id}/whitelist-off", admins, ask(whitelistOff)},
	{"POST /console/apps/{key}/users/{id}/whitelist-off", admins, act(whitelistOff)},
	{"GET /console/apps/{key}/users/{id}/deactivate", admins, ask(deactivateUser)},
	{"POST /console/apps/{key}/users/{id}/deactivate", admins, act(deactivateUser)},
	{"GET /console/apps/{key}/users/{id}/reactivate", admins, ask(reactivateUser)},
	{"POST /console/apps/{key}/users/{id}/reactivate", admins, act(reactivateUser)},
	{"GET /console/apps/{key}/users/{id}/delete", admins, (*console).askDeleteUser},
	{"POST /console/apps/{key}/users/{id}/delete", admins, (*console).deleteUser},

	{"GET /console/apps/{key}/bulk/ban", admins, (*console).askBulkBan},
	{"POST /console/apps/{key}/bulk/ban", admins, (*console).bulkBan},
	{"GET /console/apps/{key}/bulk/unban", admins, (*console).askBulkUnban},
	{"POST /console/apps/{key}/bulk/unban", admins, (*console).bulkUnban},
	{"GET /console/apps/{key}/bulk/delete", admins, (*console).askBulkDelete},
	{"POST /console/apps/{key}/bulk/delete", admins, (*console).bulkDelete},
	{"GET /console/apps/{key}/clear", admins, (*console).askClear},
	{"POST /console/apps/{key}/clear", admins, (*console).clear},
	{"GET /console/apps/{key}/jobs", viewers, (*console).listJobs},
	{"GET /console/apps/{key}/jobs/{job}", viewers, (*console).showJob},
	{"GET /console/apps/{key}/banned", viewers, showStates(bannedList)},
	{"GET /console/apps/{key}/deactivated", viewers, showStates(deactivatedList)},
	{"GET /console/apps/{key}/settings", viewers, (*console).showSettings},
	{"POST /console/apps/{key}/settings", admins, (*console).saveSettings},
	{"GET /console/apps/{key}/rotate-secret", admins, (*console).askRotateSecret},
	{"POST /console/apps/{key}/rotate-secret", confirmed, (*console).rotateSecret},
	{"GET /console/apps/{key}/connections", viewers, (*console).listConnections},
	{"GET /console/apps/{key}/connections/now", polls, (*console).pollConnections},
	{"GET /console/apps/{key}/connections/close", admins, (*console).askCloseConnection},
	{"POST /console/apps/{key}/connections/close", admins, (*console).closeConnection},
	{"GET /console/apps/{key}/connections/close-all", admins, (*console).askCloseConnections},
	{"POST /console/apps/{key}/connections/close-all", admins, (*console).closeConnections},
	{"GET /console/apps/{key}/permission", viewers, (*console).explainPermission},

	{"GET /console/operators", viewers, (*console).listOperators},
	{"POST /console/operators", confirmed, (*console).createOperator},
	{"GET /console/operators/{operator}", viewers, (*console).showOperator},
	{"GET /console/operators/{operator}/make-admin", admins, askOperator(makeAdmin)},
	{"POST /console/operators/{operator}/make-admin", confirmed, actOnOperator(makeAdmin)},
	{"GET /console/operators/{operator}/make-viewer", admins, askOperator(makeViewer)},
	{"POST /console/operators/{operator}/make-viewer", confirmed, actOnOperator(makeViewer)},
	{"GET /console/operators/{operator}/end-session", admins, askOperator(endOperatorSession)},
	{"POST /console/operators/{operator}/end-session", admins, actOnOperator(endOperatorSession)},
	{"GET /console/operators/{operator}/end-sessions", admins, askOperator(endOperatorSessions)},
	{"POST /console/operators/{operator}/end-sessions", admins, actOnOperator(endOperatorSessions)},
	{"GET /console/operators/{operator}/password", admins, askOperator(resetPassword)},
	{"POST /console/operators/{operator}/password", confirmed, actOnOperator(resetPassword)},
	{"GET /console/operators/{operator}/delete", admins, askOperator(deleteOperator)},
	{"POST /console/operators/{operator}/delete", confirmed, actOnOperator(deleteOperator)},
	{"GET /console/account", viewers, (*console).showAccount},
	{"POST /console/account/password", viewers, (*console).changePassword},
	{"GET /console/account/end-session", viewers, (*console).askEndSession},
	{"POST /console/account/end-session", viewers, endOwnSessions((*console).endSession)},
	{"GET /console/account/end-sessions", viewers, (*console).askEndSessions},
	{"POST /console/account/end-sessions", viewers, endOwnSessions((*console).endSessions)},
	{"GET /console/audit", viewers, (*console).showAudit},
	{"GET /console/explorer", viewers, (*console).showExplorer},
	{"POST /console/explorer", confirmed, (*console).fillExplorer},

	{"/console/", viewers, (*console).notFound},
}
