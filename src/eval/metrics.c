#include "eval/metrics.h"

#include <math.h>

void rusk_mean_add(rusk_mean *m, double x) {
    m->n++;
    m->sum += x;
    m->sum_squares += x * x;
}

double rusk_mean_value(const rusk_mean *m) {
    return m->sum / (double)m->n;
}

double rusk_mean_se(const rusk_mean *m) {
    if (m->n < 2) {
        return 0;
    }
    double mean = rusk_mean_value(m);
    double variance = m->sum_squares / (double)m->n - mean * mean;
    return variance > 0 ? sqrt(variance / (double)(m->n - 1)) : 0;
}

size_t rusk_argmax(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

double rusk_log_sum_exp(const float *logits, size_t n) {
    float max = logits[rusk_argmax(logits, n)];
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)expf(logits[i] - max);
    }
    return (double)max + log(sum);
}

double rusk_kl_divergence(const float *p_logits, const float *q_logits, size_t n) {
    double p_norm = rusk_log_sum_exp(p_logits, n);
    double q_norm = rusk_log_sum_exp(q_logits, n);
    double kl = 0;
    for (size_t i = 0; i < n; i++) {
        double log_p = (double)p_logits[i] - p_norm;
        double log_q = (double)q_logits[i] - q_norm;
        double p = (double)expf((float)log_p);
        kl += p > 0 ? p * (log_p - log_q) : 0;
    }
    return kl > 0 ? kl : 0; /* rounding may leave -1e-9 where the two agree */
}

double rusk_quantile(const float *values, const uint32_t *order, size_t n, double f) {
    double at = f * (double)(n - 1);
    size_t below = (size_t)at;
    if (below + 1 >= n) {
        return (double)values[order[n - 1]];
    }
    double part = at - (double)below;
    return (double)values[order[below]] * (1 - part) + (double)values[order[below + 1]] * part;
}
