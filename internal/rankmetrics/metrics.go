// Package rankmetrics measures rankings against relevance judgements and against another ranking, and scores against others.
//
// It must not know models or texts. Documents are numbered from 0, and a ranking is a list of scores, of which a higher
// one ranks higher; equal scores keep the order of the documents, as in Rerank.
package rankmetrics

import (
	"cmp"
	"math"
	"slices"
)

// order returns the documents from the highest score to the lowest.
func order(scores []float64) []int {
	documents := make([]int, len(scores))
	for i := range documents {
		documents[i] = i
	}
	slices.SortStableFunc(documents, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return documents
}

// NDCG is the normalised discounted cumulative gain of the first k, with the gain 2^grade - 1 and the discount
// log2(rank + 1) (Burges et al. 2005, "Learning to rank using gradient descent", section 6). grades has one for each
// document, 0 for one that is not relevant. Without a relevant document it is 0.
func NDCG(scores, grades []float64, k int) float64 {
	ideal := slices.Clone(grades)
	slices.SortFunc(ideal, func(a, b float64) int { return cmp.Compare(b, a) })
	best := gain(ideal, k)
	if best == 0 {
		return 0
	}
	ranked := make([]float64, 0, len(grades))
	for _, document := range order(scores) {
		ranked = append(ranked, grades[document])
	}
	return gain(ranked, k) / best
}

func gain(grades []float64, k int) float64 {
	var sum float64
	for rank, grade := range grades[:min(k, len(grades))] {
		sum += (math.Exp2(grade) - 1) / math.Log2(float64(rank)+2)
	}
	return sum
}

// ReciprocalRank is 1 / the rank of the first relevant document, 0 if that is not among the first k.
func ReciprocalRank(scores, grades []float64, k int) float64 {
	for rank, document := range order(scores) {
		if rank < k && grades[document] > 0 {
			return 1 / float64(rank+1)
		}
	}
	return 0
}

// Recall is how many of the relevant documents are among the first k; 0 if there is none.
func Recall(scores, grades []float64, k int) float64 {
	var found, all float64
	for rank, document := range order(scores) {
		if grades[document] > 0 {
			all++
			if rank < k {
				found++
			}
		}
	}
	if all == 0 {
		return 0
	}
	return found / all
}

// KendallTau is Kendall's rank correlation tau-b, which takes account of ties (Kendall 1945, "The treatment of ties in
// ranking problems"): 1 for the same order, -1 for the reverse. It is NaN where one ranking ties everything. It takes
// time in the square of the number of documents.
func KendallTau(a, b []float64) float64 {
	var concordant, discordant, onlyA, onlyB float64
	for i := range a {
		for j := range i {
			x, y := cmp.Compare(a[i], a[j]), cmp.Compare(b[i], b[j])
			switch {
			case x == 0 && y == 0:
			case x == 0:
				onlyA++
			case y == 0:
				onlyB++
			case x == y:
				concordant++
			default:
				discordant++
			}
		}
	}
	pairs := concordant + discordant
	return (concordant - discordant) / math.Sqrt((pairs+onlyA)*(pairs+onlyB))
}
