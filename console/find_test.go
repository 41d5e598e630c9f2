package console

import (
	"net/http"
	"testing"

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
