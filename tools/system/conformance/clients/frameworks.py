"""Rerankers of LangChain, LlamaIndex, Haystack, rerankers and LiteLLM, each as its documentation has it used."""

from case import BASE, DOCUMENTS, MODEL, QUERY, check, check_langchain, check_raises, check_texts, langchain_documents, run


def langchain_cohere():
    from langchain_cohere import CohereRerank

    reranker = CohereRerank(cohere_api_key="key", base_url=BASE, model=MODEL, top_n=3)
    check([(r["index"], r["relevance_score"]) for r in reranker.rerank(DOCUMENTS, QUERY)], 3)
    check_langchain(reranker.compress_documents(langchain_documents(), QUERY), 3)


def langchain_jina():
    from langchain_community.document_compressors import JinaRerank, jina_rerank

    jina_rerank.JINA_API_URL = BASE + "/v1/rerank"  # there is no other way to say so
    reranker = JinaRerank(jina_api_key="key", model=MODEL, top_n=3)
    check_langchain(reranker.compress_documents(langchain_documents(), QUERY), 3)
    reranker.model = "nonesuch"
    check_raises(RuntimeError, lambda: reranker.rerank(DOCUMENTS, QUERY), "which is not served")


def check_llama_index(reranker, top_n):
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
    ranked = reranker.postprocess_nodes(nodes, query_bundle=QueryBundle(QUERY))
    check([(DOCUMENTS.index(n.node.get_content()), n.score) for n in ranked], top_n)


def llama_index_tei():
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    check_llama_index(TextEmbeddingInference(model_name=MODEL, base_url=BASE, top_n=3, auth_token="key"), 3)


def llama_index_cohere():
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    check_llama_index(CohereRerank(model=MODEL, api_key="key", base_url=BASE, top_n=3), 3)


def llama_index_jina():
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    check_llama_index(JinaRerank(model=MODEL, api_key="key", base_url=BASE + "/v1", top_n=3), 3)


def check_haystack(ranker, top_n, **options):
    from haystack import Document

    ranked = ranker.run(query=QUERY, documents=[Document(content=text) for text in DOCUMENTS], **options)["documents"]
    check([(DOCUMENTS.index(d.content), d.score) for d in ranked], top_n)


def haystack_tei():
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
    from haystack_integrations.components.rankers.huggingface_api.ranker import TruncationDirection

    check_haystack(HuggingFaceTEIRanker(url=BASE, top_k=3, token=None), 3, truncation_direction=TruncationDirection.LEFT)


def haystack_jina():
    from haystack.utils import Secret
    from haystack_integrations.components.rankers.jina import JinaRanker

    check_haystack(JinaRanker(model=MODEL, api_key=Secret.from_token("key"), top_k=3, base_url=BASE + "/v1/rerank"), 3)


def rerankers(provider, path):
    def call():
        from rerankers.models.api_rankers import APIRanker

        ranked = APIRanker(MODEL, "key", provider, verbose=0, url=BASE + path).rank(QUERY, DOCUMENTS)
        check([(r.doc_id, r.score) for r in ranked.results])
        check_texts(r.document.text for r in ranked.results)

    return call


def litellm(provider, base, **texts):
    """texts: how the answer repeats documents, if it does."""

    def call():
        import litellm

        response = litellm.rerank(
            model=f"{provider}/{MODEL}", api_base=BASE + base, api_key="key", query=QUERY, documents=DOCUMENTS, top_n=3
        )
        check([(r["index"], r["relevance_score"]) for r in response.results], None if provider == "huggingface" else 3)
        if texts.get("repeated"):
            check_texts((r["document"]["text"] for r in response.results), 3)

    return call


run(
    [
        ("langchain-cohere CohereRerank", "langchain-cohere", langchain_cohere),
        ("LangChain JinaRerank", "langchain-community", langchain_jina),
        ("LlamaIndex TextEmbeddingInference", "llama-index-postprocessor-tei-rerank", llama_index_tei),
        ("LlamaIndex CohereRerank", "llama-index-postprocessor-cohere-rerank", llama_index_cohere),
        ("LlamaIndex JinaRerank", "llama-index-postprocessor-jinaai-rerank", llama_index_jina),
        ("Haystack HuggingFaceTEIRanker", "huggingface-api-haystack", haystack_tei),
        ("Haystack JinaRanker", "jina-haystack", haystack_jina),
        ("rerankers, TEI", "rerankers", rerankers("text-embeddings-inference", "/rerank")),
        ("rerankers, cohere", "rerankers", rerankers("cohere", "/v1/rerank")),
        ("rerankers, jina", "rerankers", rerankers("jina", "/v1/rerank")),
        ("LiteLLM cohere", "litellm", litellm("cohere", "/v2/rerank")),
        ("LiteLLM jina_ai", "litellm", litellm("jina_ai", "")),
        ("LiteLLM infinity", "litellm", litellm("infinity", "")),
        ("LiteLLM infinity, /infinity", "litellm", litellm("infinity", "/infinity")),
        ("LiteLLM hosted_vllm", "litellm", litellm("hosted_vllm", "")),
        ("LiteLLM hosted_vllm, /vllm", "litellm", litellm("hosted_vllm", "/vllm", repeated=True)),
        ("LiteLLM huggingface", "litellm", litellm("huggingface", "")),
    ]
)
