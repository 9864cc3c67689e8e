// heads.h: norms of the heads of queries or keys, each by itself.

// Heads that are not whole multiples of PAD are copied to where zeros stand behind them.
static void normalise_head_rows(const struct normalise* a, int heads) {
    float padded[MOST_NORMED];
    struct normalise one = *a;
    if (a->h % PAD == 0) {
        one.m = heads;
        one.stride = a->h;
    } else {
        one.m = 1;
        memset(padded, 0, sizeof(float) * round_up(a->h, PAD));
    }
    for (int r = 0; r < a->m; r++) {
        float* row = a->y + r * a->stride;
        if (a->h % PAD == 0) {
            one.x = one.y = row;
            normalise_rows(&one);
            continue;
        }
        for (int head = 0; head < heads; head++) {
            one.x = one.y = padded;
            memcpy(padded, row + head * a->h, sizeof(float) * a->h);
            normalise_rows(&one);
            memcpy(row + head * a->h, padded, sizeof(float) * a->h);
        }
    }
}
