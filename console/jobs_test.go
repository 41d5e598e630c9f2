package console

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/database"
	"rollcall/internal/jobs"
	"rollcall/internal/testenv"
	"rollcall/models"
)

func TestJobPage(t *testing.T) {
	testenv.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		s := newSite(t, db)
		b, viewer := s.as("admin"), s.as("viewer")
		list := jobsPath(s.dev)
		viewer.get(list).want(t, http.StatusOK, "No jobs yet")

		handled, goOn := make(chan struct{}), make(chan error)
		job, err := s.jobs.Start(ctx, s.dev, models.JobClear, 40, models.Actor{Name: hostile}, func(_ context.Context, progress jobs.Progress) error {
			if err := progress(25, 24); err != nil {
				return err
			}
			close(handled)
			return <-goOn
		})
		s.check(err)
		<-handled
		path := jobRowOf(s.dev, job).Path
		// With a script the page polls; without one it has a link.
		viewer.get(path).want(t, http.StatusOK, "25 of 40 users", `max="40" value="25"`, "Running", `hx-get="`+path+`"`, `id="job-refresh" href="`+path+`"`,
			"You can leave this page", "!Users deleted", "!<script>alert")
		b.head.Set("HX-Request", "true")
		b.get(path).want(t, http.StatusOK, "25 of 40 users")
		b.head.Del("HX-Request")
		viewer.get(list).want(t, http.StatusOK, path, "Running", "25 <span", "&lt;script&gt;", "!<script>alert")
		viewer.get(jobsPath(s.prod)).want(t, http.StatusOK, "No jobs yet")
		viewer.get(jobsPath(s.prod)+strings.TrimPrefix(path, list)).want(t, http.StatusNotFound)
		viewer.get(list+"/0").want(t, http.StatusNotFound)
		viewer.get(list+"/x").want(t, http.StatusNotFound)

		// The job's node sends no heartbeat for a while, and then does.
		s.pass(time.Minute)
		b.get(path).want(t, http.StatusOK, "Interrupted", "Users deleted: 24.", "cannot be reached", "Delete the rest", "!<div hidden data-poll", `role="status"`)
		viewer.get(path).want(t, http.StatusOK, "Interrupted", "!Delete the rest")
		goOn <- errors.New("secret SQL")
		s.wait(s.dev, job.ID)
		b.get(path).want(t, http.StatusOK, "Failed", "ended with an error", "Users deleted: 24.", "Delete the rest", "!secret SQL", "!<div hidden data-poll")
		b.get(list).want(t, http.StatusOK, "Failed")
		b.head.Set("HX-Request", "true")
		b.get(path).want(t, stopPolling, "Failed")
		if !strings.Contains(s.log.String(), "secret SQL") {
			t.Error("the log does not say why")
		}
	})
}

// wait waits until the job's node has recorded how the job ended.
func (s *site) wait(app *models.App, id int64) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		var job models.Job
		s.check(s.db.Read(context.Background()).Where("app_id = ? AND id = ?", app.ID, id).Take(&job).Error)
		if job.State != models.JobRunning {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("job %d does not end", id)
		}
	}
}

func TestJobsPaging(t *testing.T) {
	s := onSQLite(t)
	nothing := func(context.Context, jobs.Progress) error { return nil }
	for range 45 {
		_, err := s.jobs.Start(context.Background(), s.dev, models.JobBan, 0, setup, nothing)
		s.check(err)
	}
	b := s.as("viewer")
	job := regexp.MustCompile(`/jobs/(\d+)"`)
	seen := map[string]bool{}
	pages := 0
	for path := jobsPath(s.dev); path != ""; pages++ {
		page := b.get(path)
		for _, match := range job.FindAllStringSubmatch(page.body, -1) {
			seen[match[1]] = true
		}
		path = ""
		for _, link := range page.links() {
			if strings.Contains(link, "after=") {
				path = link
			}
		}
	}
	if pages != 3 || len(seen) != 45 {
		t.Errorf("%d pages, %d jobs", pages, len(seen))
	}
	b.get(jobsPath(s.dev)+"?after=nonsense").want(t, http.StatusBadRequest)
}
