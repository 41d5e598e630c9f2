package console

import (
	"net/http"
	"net/url"
	"testing"

	"rollcall/internal/audit"
	"rollcall/internal/operators"
	"rollcall/models"
)

func TestFind_AppsAndUsersByName(t *testing.T) {
	s := onSQLite(t)
	s.register(s.dev, "bob", hostile)
	b := s.as("viewer")
	b.get(Root+"find?q=DEM").want(t, http.StatusOK, `[{"id":"`+s.dev.Key+`","name":"demo","path":"`+overviewPath(s.dev)+`"}]`)
	b.get(Root+"find?q=nothing").want(t, http.StatusOK, "[]")
	path := appPath(s.dev) + "/find"
	b.get(path+"?q=nn").want(t, http.StatusOK, `[{"id":"ann","name":"Ann","path":"`+userPath(s.dev, "ann")+`"}]`)
	b.get(path+"?q=bo").want(t, http.StatusOK, `"id":"bob"`, "!<script>")
	for _, none := range []string{"", "?q=", "?q=%20", "?q=nobody"} {
		b.get(path+none).want(t, http.StatusOK, "[]", "!ann")
	}
}

func TestFind_ActorsAndOperatorsByName(t *testing.T) {
	s := onSQLite(t)
	s.operator("mo", models.RoleModerator, s.dev)
	b := s.as("viewer")
	b.get(findOperatorsPath+"?q=ADM").want(t, http.StatusOK, `[{"id":"admin","name":"","path":"/console/operators/1"}]`)
	b.get(findActorsPath+"?q=server").want(t, http.StatusOK, `[{"id":"App Server","name":"","path":""}]`)
	b = s.as("mo")
	b.get(findOperatorsPath+"?q=adm").want(t, http.StatusForbidden, "!/console/operators/1")
	b.get(findActorsPath+"?q=command").want(t, http.StatusOK, `"id":"command line"`)
}

// TestAudit_CommandLineInTheReadersLanguage finds what a command did by the words on the page.
func TestAudit_CommandLineInTheReadersLanguage(t *testing.T) {
	s := onSQLite(t)
	_, err := s.deps.Operators.(*operators.Service).Create(t.Context(), "carol", models.Grant{Role: models.RoleViewer, AllApps: true}, password, audit.CommandLine)
	s.check(err)
	b := s.as("viewer")
	for language, words := range map[string]string{"en": "command line", "zh-CN": "命令行"} {
		b.head.Set("Accept-Language", language)
		b.get(findActorsPath+"?q="+url.QueryEscape(words)).want(t, http.StatusOK, `"id":"`+words+`"`)
		for _, actor := range []string{words, audit.CommandLine.Name} {
			b.get(auditPath+"?actor="+url.QueryEscape(actor)).want(t, http.StatusOK, "<bdi>"+words+"</bdi>", "carol")
		}
	}
	// An operator of that name is found by it, and the command by its name in the audit.
	s.operator("命令行", models.RoleAdmin)
	named := s.as("命令行")
	named.post(userPath(s.dev, "ann")+"/ban", url.Values{"length": {"60"}})
	b.get(auditPath+"?action=user.ban&actor="+url.QueryEscape("命令行")).want(t, http.StatusOK, "<code>ann</code>")
	b.get(auditPath+"?actor="+url.QueryEscape("命令行")).want(t, http.StatusOK, "!carol")
	b.get(auditPath+"?actor="+url.QueryEscape(audit.CommandLine.Name)).want(t, http.StatusOK, "carol", "!<code>ann</code>")
}

func TestFind_FieldsForIDs(t *testing.T) {
	s := onSQLite(t)
	s.operator("mo", models.RoleModerator, s.dev)
	const users, actors, apps = `data-find="/console/apps/{app}/find`, `data-find="/console/audit/find`, "/console/find"
	b := s.as("admin")
	b.get(explorerPath).want(t, http.StatusOK, users+`"`)
	b.get(auditPath).want(t, http.StatusOK, actors+" "+findOperatorsPath+`"`, users+" "+apps+" "+findOperatorsPath+`"`)
	b.get(permissionPath(s.dev)).want(t, http.StatusOK, `id="from" name="from" value="" maxlength="64" required data-find="`+appPath(s.dev)+`/find"`)
	s.as("mo").get(auditPath).want(t, http.StatusOK, actors+`"`, users+" "+apps+`"`)
}
