"""Cohere's own client, whose versions have to be installed apart: others pin an old one."""

import asyncio

import cohere

from case import BASE, DOCUMENTS, MODEL, QUERY, check, check_raises, check_texts, run


def results(response):
    return [(r.index, r.relevance_score) for r in response.results]


def v1():
    client = cohere.Client(api_key="key", base_url=BASE)
    response = client.rerank(query=QUERY, documents=DOCUMENTS, model=MODEL, return_documents=True)
    check(results(response))
    check_texts(r.document.text for r in response.results)
    if response.meta.api_version.version != "1" or response.meta.billed_units.search_units != 1:
        raise AssertionError(f"meta {response.meta}")


def v1_objects():
    client = cohere.Client(api_key="key", base_url=BASE)
    documents = [{"title": "x", "body": text} for text in DOCUMENTS]
    check(results(client.rerank(query=QUERY, documents=documents, rank_fields=["body"], top_n=2)), 2)


def v2():
    client = cohere.ClientV2(api_key="key", base_url=BASE)
    check(results(client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=3, max_tokens_per_doc=4096)), 3)


def v2_async():
    async def call():
        return await cohere.AsyncClientV2(api_key="key", base_url=BASE).rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)

    check(results(asyncio.run(call())))


def v2_refused():
    client = cohere.ClientV2(api_key="key", base_url=BASE)
    check_raises(
        cohere.NotFoundError, lambda: client.rerank(model="nonesuch", query=QUERY, documents=DOCUMENTS), f"there are: `{MODEL}`"
    )
    check_raises(cohere.BadRequestError, lambda: client.rerank(model=MODEL, query=QUERY, documents=[]), "`documents` cannot be empty")


run(
    [
        ("cohere Client", "cohere", v1),
        ("cohere Client, rank_fields", "cohere", v1_objects),
        ("cohere ClientV2", "cohere", v2),
        ("cohere AsyncClientV2", "cohere", v2_async),
        ("cohere ClientV2, refusals", "cohere", v2_refused),
    ]
)
