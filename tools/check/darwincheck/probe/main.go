// Command probe opens the Metal device and prints its description: the smallest program with the whole driver in it.
// `darwincheck link` links it for a Mac on any system, without the tokenizer library that the product needs.
package main

import (
	"fmt"
	"os"

	"github.com/metalrank/metalrank/metal/darwin"
)

func main() { os.Exit(run()) }

func run() int {
	device, err := darwin.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 1
	}
	fmt.Printf("%+v\n", device.Info())
	if err := device.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 1
	}
	return 0
}
