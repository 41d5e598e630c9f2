package apps

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/bus"
	"rollcall/internal/database"
	"rollcall/internal/fault"
	"rollcall/internal/testenv"
	"rollcall/internal/token"
	"rollcall/models"
)

func eachService(t *testing.T, test func(t *testing.T, s *Service)) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		keys, err := token.OpenKeys(context.Background(), db, "", time.Now)
		if err != nil {
			t.Fatal(err)
		}
		test(t, New(db, new(bus.Bus), keys, time.Now))
	})
}

func TestCreateApp(t *testing.T) {
	eachService(t, func(t *testing.T, s *Service) {
		ctx := context.Background()
		app, secret, err := s.Create(ctx, NewApp{Name: "聊天", Environment: models.EnvironmentProduction, Edition: models.EditionStandard}, shell)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := s.ByKey(ctx, app.Key)
		if err != nil || stored.Name != "聊天" || stored.Settings != models.DefaultAppSettings() || *stored.RegisteredUserLimit() != 10_000 {
			t.Errorf("%+v, %v", stored, err)
		}
		if len(secret) < 40 || string(stored.SecretHash) == secret {
			t.Error("the secret is short, or stored in plain text")
		}
		var entry models.AuditEntry
		err = s.db.Read(ctx).Where("action = ?", audit.ActionAppCreate).Take(&entry).Error
		if err != nil || entry.Actor != shell.Name || entry.Address != shell.Address || *entry.AppID != app.ID || entry.Target != app.Key ||
			entry.Detail != "name=聊天 environment=PRODUCTION edition=STANDARD" {
			t.Errorf("audit %+v, %v", entry, err)
		}
		on := models.AppSettings{StatusQueryEnabled: true}
		for name, in := range map[string]NewApp{
			"taken name":      {Name: "聊天", Environment: models.EnvironmentProduction, Edition: models.EditionStandard},
			"no name":         {Environment: models.EnvironmentProduction, Edition: models.EditionStandard},
			"padded name":     {Name: " x", Environment: models.EnvironmentProduction, Edition: models.EditionStandard},
			"invisible name":  {Name: "\u200b", Environment: models.EnvironmentProduction, Edition: models.EditionStandard},
			"control":         {Name: "a\x00b", Environment: models.EnvironmentProduction, Edition: models.EditionStandard},
			"override":        {Name: "a\u202eb", Environment: models.EnvironmentProduction, Edition: models.EditionStandard},
			"environment":     {Name: "x", Environment: "STAGING", Edition: models.EditionStandard},
			"edition":         {Name: "x", Environment: models.EnvironmentProduction, Edition: "GOLD"},
			"edition's lacks": {Name: "x", Environment: models.EnvironmentProduction, Edition: models.EditionStandard, Settings: &on},
		} {
			if _, _, err := s.Create(ctx, in, shell); fault.CodeOf(err) != fault.InvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestCreate_SameNameConcurrently(t *testing.T) {
	eachService(t, func(t *testing.T, s *Service) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, _, err := s.Create(context.Background(), NewApp{Name: "demo", Environment: models.EnvironmentDevelopment, Edition: models.EditionFlagship}, shell)
				if err != nil && fault.CodeOf(err) != fault.InvalidArgument {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if list, err := s.List(context.Background()); err != nil || len(list) != 1 {
			t.Errorf("%d apps, %v", len(list), err)
		}
	})
}

func TestSettings(t *testing.T) {
	eachService(t, func(t *testing.T, s *Service) {
		ctx := context.Background()
		app, _, err := s.Create(ctx, NewApp{Name: "a", Environment: models.EnvironmentProduction, Edition: models.EditionStandard}, shell)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Create(ctx, NewApp{Name: "b", Environment: models.EnvironmentProduction, Edition: models.EditionStandard}, shell); err != nil {
			t.Fatal(err)
		}
		type values = map[string]string
		for _, step := range []struct {
			name   string
			values values
			// field and rule are those of the refusal, or "" if there is none.
			field, rule string
		}{
			{"a switch that STANDARD lacks", values{"statusQueryEnabled": "true"}, "statusQueryEnabled", "edition"},
			{"the other one", values{"friendStatusNotifyEnabled": "true"}, "friendStatusNotifyEnabled", "edition"},
			{"one that it has", values{"onlyFriendsCanMessage": "true", "profileEditEnabled": "true"}, "", ""},
			{"edition and switches at once", values{"edition": "flagship", "statusQueryEnabled": "true", "friendStatusNotifyEnabled": "true"}, "", ""},
			{"a lower edition while a switch is on", values{"edition": "STANDARD"}, "statusQueryEnabled", "edition"},
			{"a lower edition with the switches off", values{"edition": "Standard", "statusQueryEnabled": "false", "friendStatusNotifyEnabled": "false"}, "", ""},
			{"limits", values{"friendLimit": "5", "blocklistLimit": "6", "whitelistLimit": "7", "statusSubscriptionLimit": "8", "friendRequestDailyLimit": "10", "deviceLimit": "11", "registeredUserLimit": "9"}, "", ""},
			{"a policy", values{"friendRequestPolicy": "Nobody"}, "", ""},
			{"an unknown policy", values{"friendRequestPolicy": "FRIENDS"}, "friendRequestPolicy", "oneof"},
			{"no policy", values{"friendRequestPolicy": ""}, "friendRequestPolicy", "oneof"},
			{"all or none", values{"friendLimit": "500", "blocklistLimit": "many"}, "blocklistLimit", "number"},
			{"a negative limit", values{"friendLimit": "-1"}, "friendLimit", "min"},
			{"no device", values{"deviceLimit": "0"}, "deviceLimit", "min"},
			{"too many devices", values{"deviceLimit": "1001"}, "deviceLimit", "max"},
			{"a daily limit out of range", values{"friendRequestDailyLimit": "100001"}, "friendRequestDailyLimit", "max"},
			{"no number", values{"friendLimit": "5.5"}, "friendLimit", "number"},
			{"a limit larger than an int", values{"friendLimit": "9223372036854775808"}, "friendLimit", "max"},
			{"a limit smaller than an int", values{"friendLimit": "-9223372036854775809"}, "friendLimit", "min"},
			{"neither true nor false", values{"onlyFriendsCanMessage": "yes"}, "onlyFriendsCanMessage", "oneof"},
			{"an unknown setting", values{"colour": "red"}, "colour", "oneof"},
			{"a taken name", values{"name": "b"}, "name", "unique"},
			{"an empty name", values{"name": ""}, "name", "required"},
			{"a name that is not UTF-8", values{"name": "a\xff"}, "name", "utf8"},
			{"a long name", values{"name": strings.Repeat("é", 65)}, "name", "max"},
			{"an unknown edition", values{"edition": "gold"}, "edition", "oneof"},
			{"a new name", values{"name": "c"}, "", ""},
			{"no limit of users in PREMIUM", values{"edition": "premium", "registeredUserLimit": "9"}, "registeredUserLimit", "edition"},
		} {
			before, _ := s.ByKey(ctx, app.Key)
			_, err := s.Set(ctx, app.Key, step.values, models.Actor{Name: "test"})
			after, _ := s.ByKey(ctx, app.Key)
			refusal, _ := err.(*fault.Error)
			switch {
			case step.field == "" && err != nil:
				t.Errorf("%s: %v", step.name, err)
			case step.field != "" && (refusal == nil || refusal.Extensions["field"] != step.field || refusal.Extensions["rule"] != step.rule):
				t.Errorf("%s: %+v, want %s of %s", step.name, refusal, step.rule, step.field)
			case step.field != "" && (before.Settings != after.Settings || before.Edition != after.Edition || before.Name != after.Name):
				t.Errorf("%s: refused, but something changed", step.name)
			}
		}
		got, _ := s.ByKey(ctx, app.Key)
		want := models.AppSettings{OnlyFriendsCanMessage: true, ProfileEditEnabled: true, FriendRequestPolicy: models.PolicyNobody, FriendLimit: 5, BlocklistLimit: 6, WhitelistLimit: 7, StatusSubscriptionLimit: 8, FriendRequestDailyLimit: 10, DeviceLimit: 11}
		if got.Settings != want || got.Name != "c" || got.UserLimit != 9 || got.Edition != models.EditionStandard {
			t.Errorf("%+v", got)
		}
		var entries []models.AuditEntry
		if err := s.db.Read(ctx).Where("action = ?", audit.ActionAppSet).Order("id").Find(&entries).Error; err != nil {
			t.Fatal(err)
		}
		details := make([]string, len(entries))
		for i, e := range entries {
			details[i] = e.Actor + " " + e.Action + " " + e.Detail
			if e.Target != app.Key || *e.AppID != app.ID {
				t.Errorf("audit entry %+v", e)
			}
		}
		wantAudit := []string{
			"test app.set onlyFriendsCanMessage=true (was false) profileEditEnabled=true (was false)",
			"test app.set edition=FLAGSHIP (was STANDARD) friendStatusNotifyEnabled=true (was false) statusQueryEnabled=true (was false)",
			"test app.set edition=STANDARD (was FLAGSHIP) friendStatusNotifyEnabled=false (was true) statusQueryEnabled=false (was true)",
			"test app.set blocklistLimit=6 (was 500) deviceLimit=11 (was 20) friendLimit=5 (was 1000) friendRequestDailyLimit=10 (was 200) registeredUserLimit=9 (was 10000) statusSubscriptionLimit=8 (was 200) whitelistLimit=7 (was 3000)",
			"test app.set friendRequestPolicy=NOBODY (was APPROVAL)",
			"test app.set name=c (was a)",
		}
		if !slices.Equal(details, wantAudit) {
			t.Errorf("audit\n%s", strings.Join(details, "\n"))
		}
		if unknown, err := s.Set(ctx, "键", values{"friendLimit": "5"}, models.Actor{Name: "test"}); unknown != nil || err != nil {
			t.Errorf("an unknown key: %v, %v", unknown, err)
		}
	})
}
