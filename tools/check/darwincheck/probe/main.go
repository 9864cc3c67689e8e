// Command probe opens the Metal device and prints its description. It has all of our C and Objective-C in it: the driver,
// the simulator and the CPU's kernels. `darwincheck link` links it for a Mac on any system, without the tokenizer library
// that the product needs.
package main

import (
	"fmt"
	"os"

	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/metal/open"
)

func main() { os.Exit(run()) }

func run() int {
	device, err := open.Device("metal")
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 1
	}
	fmt.Printf("%+v\n%v\n", device.Info(), cpu.Variants())
	if err := device.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 1
	}
	return 0
}
