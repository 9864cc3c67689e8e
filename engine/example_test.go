package engine_test

import (
	"context"
	"fmt"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/builtin"
)

// The embedded model ranks documents. Config.Model, a checkpoint folder, takes its place for a model of your own.
func ExampleOpen() {
	e, err := engine.Open(context.Background(), engine.Config{Embedded: builtin.Open, Backend: engine.BackendCPU})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	fmt.Println(e.Info().Model)
	// Output: ms-marco-MiniLM-L12-v2
}

func ExampleEngine_Rerank() {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{Embedded: builtin.Open, Backend: engine.BackendCPU})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	documents := []string{
		"The train leaves at nine.",
		"Fill the kettle with vinegar and water, boil it, and the limescale dissolves.",
		"A kettle boils a litre of water in three minutes.",
	}
	ranking, err := e.Rerank(ctx, "how do I remove limescale from a kettle?", documents, engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range ranking.Results {
		fmt.Printf("%.2f %s\n", r.Score, documents[r.Index])
	}
	// Output:
	// 1.00 Fill the kettle with vinegar and water, boil it, and the limescale dissolves.
	// 0.00 A kettle boils a litre of water in three minutes.
	// 0.00 The train leaves at nine.
}

func ExampleEngine_Score() {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Config{Embedded: builtin.Open, Backend: engine.BackendCPU})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	scores, err := e.Score(ctx, []engine.Pair{
		{Query: "opening hours", Document: "Open from nine to six."},
		{Query: "opening hours", Document: "The shop sells shoes."},
	}, engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(scores.Row(0)[0] > scores.Row(1)[0])
	// Output: true
}

// A pool serves several models on the same devices, which they share by weight.
func ExampleNewPool() {
	ctx := context.Background()
	pool := engine.NewPool()
	defer pool.Close()
	model, err := pool.Load(ctx, "small", engine.ModelConfig{
		Config: engine.Config{Embedded: builtin.Open, Backend: engine.BackendCPU, Precision: engine.PrecisionInt8},
		Weight: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ranking, err := model.Rerank(ctx, "opening hours", []string{"The shop sells shoes.", "Open from nine to six."}, engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Name(), ranking.Results[0].Index)
	// Output: small 1
}

// Config.Model names a folder with the weights, the configuration and the tokenizer of a checkpoint.
func ExampleConfig_model() {
	e, err := engine.Open(context.Background(), engine.Config{Model: "testdata/families/roberta", Backend: engine.BackendCPU})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	fmt.Println(e.Info().Labels)
	// Output: [LABEL_0]
}
