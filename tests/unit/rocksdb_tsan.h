// rocksdb_tsan.h: what ThreadSanitizer is told of RocksDB. One file of a test program includes this.
#ifndef MAIL_ROCKSDB_TSAN_H
#define MAIL_ROCKSDB_TSAN_H

#ifdef MAIL_SANITIZED
// RocksDB is not built for ThreadSanitizer, which does not see its locks; nor those around its C++
// that the linker takes from this program. Our own rooms are C.
extern "C" const char *__tsan_default_suppressions();
extern "C" const char *__tsan_default_suppressions()
{
    return "called_from_lib:librocksdb.so\nrace:librocksdb.so\nmutex:rocksdb\n"
           "mutex:kv_rocks_shared_new\nrace:operator delete\nrace:std::char_traits\n";
}
#endif

#endif
