package service

import (
	"bytes"
	"path/filepath"

	"howett.net/plist"
)

// Label is the service's name in launchd.
const Label = "com.metalrank.serve"

// launchd runs a service of the system as a daemon, and another as an agent, while its user is logged in.
type launchd struct{ *Service }

// job has the keys of launchd.plist(5).
type job struct {
	Label                string
	ProgramArguments     []string
	UserName             string            `plist:",omitempty"`
	EnvironmentVariables map[string]string `plist:",omitempty"`
	RunAtLoad, KeepAlive bool
	ThrottleInterval     int // seconds between two starts
	ExitTimeOut          int // seconds from SIGTERM to SIGKILL
	ProcessType          string
	SoftResourceLimits   map[string]int
	StandardErrorPath    string
}

func (l launchd) path() string {
	if l.System {
		return "/Library/LaunchDaemons/" + Label + ".plist"
	}
	return filepath.Join(l.User.HomeDir, "Library", "LaunchAgents", Label+".plist")
}

// logs is the folder of the log. launchd opens the standard error as the user, so that it must be the user's.
func (l launchd) logs() string {
	if l.System {
		return "/var/log/metalrank"
	}
	return filepath.Join(l.User.HomeDir, "Library", "Logs", "metalrank")
}

func (l launchd) folders() []string { return []string{l.logs()} }

// file is the property list. The server writes and rotates its own log; a crash is reported on standard error.
func (l launchd) file() ([]byte, error) {
	j := job{
		Label: Label, ProgramArguments: append([]string{l.Program}, l.Args...),
		EnvironmentVariables: map[string]string{"METALRANK_LOG_FILE": filepath.Join(l.logs(), "serve.log")},
		RunAtLoad:            true, KeepAlive: true, ThrottleInterval: seconds(restartTime), ExitTimeOut: seconds(l.StopTime + stopMargin),
		ProcessType:        "Interactive", // else macOS holds back its CPU, disk and GPU
		SoftResourceLimits: map[string]int{"NumberOfFiles": maxOpenFiles},
		StandardErrorPath:  filepath.Join(l.logs(), "crash.log"),
	}
	if l.System {
		j.UserName = l.User.Username
		j.EnvironmentVariables["HOME"] = l.User.HomeDir // the hub's cache is there
	}
	var text bytes.Buffer
	encoder := plist.NewEncoder(&text)
	encoder.Indent("\t")
	err := encoder.Encode(&j)
	return append(text.Bytes(), '\n'), err
}

func (l launchd) domain() string {
	if l.System {
		return "system"
	}
	return "gui/" + l.User.Uid
}

func (l launchd) start() [][]string {
	return [][]string{
		{"launchctl", "enable", l.domain() + "/" + Label}, // it may have been disabled
		{"launchctl", "bootstrap", l.domain(), l.path()},
	}
}

func (l launchd) stop() [][]string {
	return [][]string{{"launchctl", "bootout", l.domain() + "/" + Label}}
}

func (l launchd) status() []string { return []string{"launchctl", "print", l.domain() + "/" + Label} }
