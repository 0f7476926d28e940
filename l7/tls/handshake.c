#include "l7/tls/handshake.h"
