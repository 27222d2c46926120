#pragma once

// A SQLite VFS that stands before the real one and fails when it is told to. Becomes the process's
// default while it lives; connections must be gone before it goes.

#include <atomic>
#include <cstring>
#include <sqlite3.h>
#include <string>
#include <string_view>

namespace gw::store::test {

class BrokenDisk {
 public:
  BrokenDisk() : real_(sqlite3_vfs_find(nullptr)) {
    vfs_ = *real_;
    vfs_.zName = "broken-disk";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.pAppData = this;
    vfs_.pNext = nullptr;
    vfs_.xOpen = &open;
    // The others are the real one's functions and want the real one as their first argument; the
    // unix VFS looks at it for nothing but xOpen, xDelete and xAccess's system calls.
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~BrokenDisk() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }

  // The log's next so many syncs (writes) fail.
  std::atomic<int> failing_syncs{0}, failing_writes{0};
  // Octets that may still be written to the log before the disk is full; < 0: no end.
  std::atomic<long long> room{-1};

 private:
  struct File {
    sqlite3_file base;
    BrokenDisk* disk;
    bool log;
  };
  static sqlite3_file* under(sqlite3_file* f) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(f) + sizeof(File));
  }
  static File* self(sqlite3_file* f) { return reinterpret_cast<File*>(f); }

  static int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags,
                  int* out) {
    auto* disk = static_cast<BrokenDisk*>(vfs->pAppData);
    std::memset(file, 0, sizeof(File));
    self(file)->disk = disk;
    self(file)->log = (flags & SQLITE_OPEN_WAL) != 0;
    int rc = disk->real_->xOpen(disk->real_, name, under(file), flags, out);
    if (under(file)->pMethods != nullptr) file->pMethods = methods();
    return rc;
  }
  static int write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
    BrokenDisk& disk = *self(f)->disk;
    if (self(f)->log && disk.failing_writes > 0 && disk.failing_writes-- > 0)
      return SQLITE_IOERR_WRITE;
    if (self(f)->log && disk.room >= 0 && (disk.room -= size) < 0) {
      disk.room = 0;
      return SQLITE_FULL;
    }
    return under(f)->pMethods->xWrite(under(f), data, size, at);
  }
  static int sync(sqlite3_file* f, int flags) {
    BrokenDisk& disk = *self(f)->disk;
    if (self(f)->log && disk.failing_syncs > 0 && disk.failing_syncs-- > 0)
      return SQLITE_IOERR_FSYNC;
    return under(f)->pMethods->xSync(under(f), flags);
  }
  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods all = [] {
      sqlite3_io_methods m{};
      m.iVersion = 2;
      m.xClose = [](sqlite3_file* f) { return under(f)->pMethods->xClose(under(f)); };
      m.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
        return under(f)->pMethods->xRead(under(f), to, n, at);
      };
      m.xWrite = &write;
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 n) {
        return under(f)->pMethods->xTruncate(under(f), n);
      };
      m.xSync = &sync;
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* n) {
        return under(f)->pMethods->xFileSize(under(f), n);
      };
      m.xLock = [](sqlite3_file* f, int l) { return under(f)->pMethods->xLock(under(f), l); };
      m.xUnlock = [](sqlite3_file* f, int l) { return under(f)->pMethods->xUnlock(under(f), l); };
      m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
        return under(f)->pMethods->xCheckReservedLock(under(f), out);
      };
      m.xFileControl = [](sqlite3_file* f, int op, void* arg) {
        return under(f)->pMethods->xFileControl(under(f), op, arg);
      };
      m.xSectorSize = [](sqlite3_file* f) { return under(f)->pMethods->xSectorSize(under(f)); };
      m.xDeviceCharacteristics = [](sqlite3_file* f) {
        return under(f)->pMethods->xDeviceCharacteristics(under(f));
      };
      m.xShmMap = [](sqlite3_file* f, int page, int size, int extend, void volatile** out) {
        return under(f)->pMethods->xShmMap(under(f), page, size, extend, out);
      };
      m.xShmLock = [](sqlite3_file* f, int offset, int n, int flags) {
        return under(f)->pMethods->xShmLock(under(f), offset, n, flags);
      };
      m.xShmBarrier = [](sqlite3_file* f) { under(f)->pMethods->xShmBarrier(under(f)); };
      m.xShmUnmap = [](sqlite3_file* f, int erase) {
        return under(f)->pMethods->xShmUnmap(under(f), erase);
      };
      return m;
    }();
    return &all;
  }

  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
};

}  // namespace gw::store::test
