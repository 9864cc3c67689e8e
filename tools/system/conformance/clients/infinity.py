"""Infinity's own client, which wants an older httpx than others do, and LangChain's reranker on top of it."""

from case import BASE, DOCUMENTS, MODEL, QUERY, check, check_langchain, check_texts, langchain_documents, run


def infinity():
    from infinity_client import Client
    from infinity_client.api.default import rerank
    from infinity_client.models import RerankInput

    for prefix in ("", "/infinity"):
        body = RerankInput(query=QUERY, documents=DOCUMENTS, return_documents=True)
        response = rerank.sync(client=Client(base_url=BASE + prefix), body=body)
        check([(r.index, r.relevance_score) for r in response.results])
        if prefix:
            check_texts(r.document for r in response.results)
        if response.usage.total_tokens <= 0 or response.model != MODEL:
            raise AssertionError(f"{response}")


def langchain_infinity():
    from infinity_client import Client
    from langchain_community.document_compressors.infinity_rerank import InfinityRerank

    reranker = InfinityRerank(client=Client(base_url=BASE), model=MODEL, top_n=3)
    check_langchain(reranker.compress_documents(langchain_documents(), QUERY), 3)


run(
    [
        ("infinity_client", "infinity-client", infinity),
        ("LangChain InfinityRerank", "langchain-community", langchain_infinity),
    ]
)
