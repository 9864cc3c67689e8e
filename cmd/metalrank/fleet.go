package main

// fleetCommand groups what helps to run several servers.
type fleetCommand struct {
	Plan fleetPlanCommand `cmd:"" help:"Say how many nodes a load takes, from what bin/sweep measured of one."`
}
