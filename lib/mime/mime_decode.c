#include "mime_decode_private.h"

#include "buf.h"
#include "facts.h"
#include "qp.h"

void mime_decoder_init(struct mime_decoder *decoder, struct span body, uint8_t encoding)
{
    *decoder = (struct mime_decoder){ .rest = body, .encoding = encoding };
}

struct span mime_decode(struct mime_decoder *decoder, char *store, size_t room)
{
    struct buf out;
    buf_init(&out, store, room);
    switch (decoder->encoding) {
    case FACTS_ENCODING_BASE64:
        base64_decode_some(&decoder->base64, &out, &decoder->rest);
        return buf_span(&out);
    case FACTS_ENCODING_QP:
        /* Soft line ends say nothing: a piece of them alone is not the end. */
        while (out.len == 0 && decoder->rest.len > 0) qp_decode_some(&out, &decoder->rest);
        return buf_span(&out);
    default:
        break;
    }
    struct span piece = span_head(decoder->rest, room);
    decoder->rest = span_skip(decoder->rest, piece.len);
    return piece;
}
